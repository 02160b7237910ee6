#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images that others made: disk images in the store, what cloud-init reads, and ssh without systemd.

    foreign_test.py DOPPEL [--long] [--only REGEX]
"""
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile

import guests
import process
import tap
from machines import Machines
from tap import Skip, case, check, check_equal, check_in

MODULES = "crc32c_generic,virtio_blk,virtio_net,ext4,isofs"

# What the initramfs does for want of a root= of its own.
BOOT = """
mkdir /mnt && mount -t ext4 /dev/vda /mnt || exit 2
for name in dev proc sys; do mount --bind /$name /mnt/$name || exit 3; done
mount --bind /dev/pts /mnt/dev/pts
exec chroot /mnt /bin/busybox sh /etc/begin
"""

# A guest that knows neither systemd nor vsock: it takes from the seed what cloud-init does, and has an ssh server.
BEGIN = """
busybox --install -s /usr/local/bin
export PATH=/usr/local/bin:/usr/sbin:/usr/bin
mkdir -p /seed
mount -t iso9660 -o ro /dev/vdb /seed || echo "no seed"
for file in /seed/*; do echo "file $file: $(wc -c <$file)"; done
cat /seed/meta-data
sed 's/^/user: /' /seed/user-data
echo "label $(dd if=/dev/vdb bs=1 skip=32808 count=6 2>/dev/null)"
echo x >/dev/vdb 2>/dev/null || echo "the seed is read-only"
hostname $(sed -n 's/.*"local-hostname": "\\(.*\\)".*/\\1/p' /seed/meta-data)
home=/root
mkdir -p $home/.ssh /etc/dropbear
chown -R 0:0 $home
chmod 700 $home $home/.ssh
sed -n 's/.*"\\(ssh-[^"]*\\)".*/\\1/p' /seed/user-data >$home/.ssh/authorized_keys
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
sleep 1
SERVER
"""

SERVE = "dropbear -R -F -E -s -p 22"
KEYGEN = "ssh-keygen"


@functools.lru_cache(None)
def root_disk(server):
    """An ext4 file system with busybox and dropbear, that begins by BEGIN."""
    if not guests.has_program("mke2fs"):
        raise Skip("mke2fs is missing")
    line = guests.run_tool("fetch_guests.py", "--root", "busybox-static", "dropbear-bin",
                           "openssh-sftp-server")
    tree = guests.scratch() / f"tree-{server.split()[0]}"
    shutil.copytree(line.split(" ", 1)[1].strip(), tree, symlinks=True)
    for name in ("dev", "proc", "sys", "tmp", "etc", "root", "usr/local/bin"):
        (tree / name).mkdir(exist_ok=True, parents=True)
    (tree / "etc/begin").write_text(BEGIN.replace("SERVER", server))
    (tree / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/shells").write_text("/bin/sh\n")
    shell = tree / "usr/bin/sh"
    if not os.path.lexists(shell):
        shell.symlink_to("busybox")
    disk = guests.scratch() / f"{server.split()[0]}.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "256M"],
                   stdout=subprocess.DEVNULL, check=True)
    return disk


def boot_options():
    return ["--kernel", guests.kernel(), "--initrd", guests.initramfs(MODULES, BOOT)]


def small_disk(folder, name="disk.raw"):
    """A raw disk of 1 MiB with a partition table of nothing."""
    path = folder / name
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes((1 << 20) - 512))
    return path


def some_kernel(folder):
    path = folder / "kernel.bin"
    path.write_bytes(b"\x7fELF" + bytes(100))
    return path


def description(machines, folder_name):
    return json.loads((machines.data / "doppel/images" / folder_name / "image.json").read_text())


def forwarded_port(machines, name):
    return machines.info(name)["ssh-port"]


# ---- the store ----

@case("raw and qcow2 disks become images, which are carried like others")
def _(folder):
    machines = Machines(folder)
    raw, kernel = small_disk(folder), some_kernel(folder)
    data = bytearray(raw.read_bytes())
    data[4096:8192] = os.urandom(4096)
    raw.write_bytes(data)
    machines.run("image", "convert", raw, folder / "disk.qcow2", "--format=qcow2")
    check_equal(machines.run("image", "import", raw, "--name=mine", "--kernel", kernel,
                             "--append=root=/dev/vda1 quiet", "--user=alice", "--cloud-init"),
                "mine", "name")
    check_equal(machines.run("image", "import", folder / "disk.qcow2", "--name", "mine:2",
                             "--firmware", kernel), "mine:2", "name")
    for name in ("mine", "mine@2"):
        disk = (machines.data / "doppel/images" / name / "disk.img").read_bytes()
        check(disk == bytes(data), f"the disk of {name}")
    found = description(machines, "mine")
    check_equal([found[key] for key in ("user", "cloud-init", "append", "kernel", "foreign")],
                ["alice", True, "root=/dev/vda1 quiet", "kernel", True], "description")
    check("initrd" not in found and "firmware" not in found, f"parts {found}")
    found = description(machines, "mine@2")
    check_equal([found["user"], found["cloud-init"], found["firmware"]],
                ["root", False, "firmware"], "description")
    listed = json.loads(machines.run("image", "ls", "-o", "json"))
    check_equal([image["kernel"] for image in listed], ["kernel.bin"] * 2, "kernels")
    machines.run("image", "export", "mine:2", folder / "two.tar")
    with tarfile.open(folder / "two.tar") as archive:
        check_equal(sorted(archive.getnames()), ["disk.img", "firmware", "image.json"], "members")
    machines.run("image", "rm", "mine:2")
    check_equal(machines.run("image", "import", folder / "two.tar"), "mine:2", "name")
    check_equal(description(machines, "mine@2"), found, "description")


@case("what cannot become an image is told in one line, and leaves nothing")
def _(folder):
    machines = Machines(folder)
    raw, kernel = small_disk(folder), some_kernel(folder)
    (folder / "text").write_text("this is no disk\n" * 1000)
    (folder / "empty").write_bytes(b"")
    (folder / "arm").write_bytes(bytes(0x38) + b"ARM\x64" + bytes(4096))
    (folder / "broken.qcow2").write_bytes(b"QFI\xfb" + bytes(1000))
    (folder / "vmdk").write_bytes(b"KDMV" + bytes(1000))
    backed = bytearray(b"QFI\xfb" + bytes(65532))
    backed[4:32] = (b"\0\0\0\3" + (4096).to_bytes(8, "big") + (11).to_bytes(4, "big") +
                    (16).to_bytes(4, "big") + (1 << 20).to_bytes(8, "big"))
    backed[4096:4107] = b"/etc/passwd"
    (folder / "backed.qcow2").write_bytes(backed)
    machines.run("image", "convert", raw, folder / "huge.qcow2", "--format=qcow2")
    with open(folder / "huge.qcow2", "r+b") as file:
        file.seek(24)
        file.write((1 << 50).to_bytes(8, "big") + b"\0\0\0\0" + (1 << 21).to_bytes(4, "big"))
        file.truncate(32 << 20)
    os.mkfifo(folder / "fifo")
    disk, name, boots = str(raw), "--name=x", f"--kernel={kernel}"
    for status, says, words in (
            (2, "--name", (disk, boots)),
            (2, ["--kernel FILE", "--firmware FILE"], (disk, name)),
            (2, "--initrd is a kernel's", (disk, name, f"--firmware={kernel}", "--initrd=x")),
            (2, "--append is a kernel's", (disk, name, f"--firmware={kernel}", "--append=x")),
            (2, "none that is known", ("text", name, boots)),
            (2, "none that is known", ("empty", name, boots)),
            (2, "none that is known", ("vmdk", name, boots)),
            (2, "none that is known", ("fifo", name, "--cloud-init")),
            (2, "none that is known", (str(folder), name, "--cloud-init")),
            (1, "nowhere.raw", ("nowhere.raw", name, boots)),
            (1, "nowhere.bin", (disk, name, "--kernel=nowhere.bin")),
            (1, "nowhere.bin", (disk, name, boots, "--initrd=nowhere.bin")),
            (1, "nowhere.bin", (disk, name, "--firmware=nowhere.bin")),
            (2, "arm64", (disk, name, "--kernel=arm")),
            (2, "broken.qcow2", ("broken.qcow2", name, boots)),
            (2, ["huge.qcow2", "TiB"], ("huge.qcow2", name, boots)),
            (2, "backed.qcow2", ("backed.qcow2", name, boots)),
            (2, "'Evil Name'", (disk, "--name=Evil Name", boots)),
            (2, "'../x'", (disk, "--name=../x", boots)),
            (2, "UTF-8", (disk, name, boots, "--append=\udcff")),
            *((2, "--user", (disk, name, boots, f"--user={user}"))
              for user in ("", "-x", "a b", "root\n", "0day", 'a"b', "$(id)", "a" * 33, "Ada"))):
        machines.fails("image", "import", *words, status=status, says=says)
        left = machines.data / "doppel/images"
        check_equal(os.listdir(left) if left.exists() else [], [], f"the store after {words}")
    machines.run("image", "import", disk, name, boots)
    machines.fails("image", "import", disk, name, boots, says=["'x' already", "--name"])


@case("archives of foreign images are trusted with nothing")
def _(folder):
    machines = Machines(folder)
    good = {"format": 1, "name": "x", "disk": "disk.img", "kernel": "kernel", "append": "",
            "foreign": True, "user": "alice", "cloud-init": True, "size": 1 << 20}
    for change in ({"user": "a\nb"}, {"user": "-oProxyCommand=id"}, {"user": 7}, {"kernel": None},
                   {"kernel": "image.json"}, {"disk": "../disk.img"}, {"firmware": ["x"]},
                   {"initrd": "initrd"}, {"kernel": ""}, {"append": 7}):
        (folder / "image.json").write_text(json.dumps({**good, **change}))
        small_disk(folder, "disk.img")
        some_kernel(folder).rename(folder / "kernel")
        with tarfile.open(folder / "bad.tar", "w") as archive:
            for member in ("image.json", "kernel", "disk.img"):
                archive.add(folder / member, member)
        process_ = machines.start("image", "import", "bad.tar")
        _, errors = process_.communicate(timeout=20)
        check_equal(process_.returncode, 2, f"status of {change} ({errors})")
        check_in("doppel image import: ", errors.splitlines()[-1], str(change))
        check_equal(os.listdir(machines.data / "doppel/images"), [], f"the store after {change}")


# ---- guests ----

def launch(machines, disk, *words, name="web", image=("--cloud-init",)):
    machines.run("image", "import", disk, "--name=tiny", *boot_options(), *image)
    machines.launch(name, "--memory=256M", *words, "tiny")


def need_network(folder):
    helper = pathlib.Path(tap.options.doppel).resolve().parent.parent / "net_helper/doppel-net"
    if not helper.exists() and not (pathlib.Path(tap.options.doppel).parent / "doppel-net").exists():
        raise Skip("doppel-net is missing")
    if not guests.has_program("ssh") or not guests.has_program(KEYGEN):
        raise Skip("ssh is missing")
    return folder


@case("a guest finds its seed, and ssh answers by a port that the machine gets by itself",
      limit_s=150)
def _(folder):
    machines = Machines(need_network(folder))
    launch(machines, root_disk(SERVE))
    log = machines.run("logs", "web")
    uuid = machines.info("web")["uuid"]
    check(re.search(r"file /seed/meta-data: \d+\s", log), "meta-data")
    check(re.search(r"file /seed/user-data: \d+\s", log), "user-data")
    check_in("label CIDATA", log, "label")
    check_in(f'"instance-id": "{uuid}"', log, "instance")
    check_in('"local-hostname": "web"', log, "host name")
    check_in("user: #cloud-config", log, "first line")
    check_in("the seed is read-only", log, "the seed")
    check_equal(machines.run("exec", "web", "--", "hostname"), "web", "exec")
    (folder / "file").write_text("carried\n")
    machines.run("cp", "file", "web:carried")
    check_equal(machines.run("exec", "web", "--", "cat", "carried"), "carried", "cp")
    machines.run("exec", "web", "--", "sync")
    port = forwarded_port(machines, "web")
    machines.run("kill", "web")
    machines.run("start", "web")
    check_equal(forwarded_port(machines, "web"), port, "the port stays")
    check_equal(machines.run("exec", "web", "--", "cat", "carried"), "carried", "the disk stays")
    machines.run("kill", "web")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        machines.run("start", "web")
        check(forwarded_port(machines, "web") != port, "another port")
        check_equal(machines.run("exec", "web", "--", "hostname"), "web", "exec")


@case("a guest that lets nobody in is not ready, if its image has cloud-init", limit_s=90)
def _(folder):
    machines = Machines(need_network(folder))
    machines.run("image", "import", root_disk("rm $home/.ssh/authorized_keys; " + SERVE), "--name=tiny",
                 *boot_options(), "--cloud-init", "--user=alice")
    machines.fails("launch", "--memory=256M", "--wait=25", "--name=web", "tiny",
                   says=["ssh answers", "nobody in as 'alice' within 25 s"])
    check("known_hosts" not in os.listdir(machines.home("web")), "a key was remembered")


@case("a guest without ssh is told at the time limit, and runs", limit_s=90)
def _(folder):
    machines = Machines(folder)
    machines.run("image", "import", root_disk("sleep 1000"), "--name=tiny", *boot_options())
    machines.fails("launch", "--memory=256M", "--wait=6", "--name=web", "tiny",
                   says=["no ssh server answered within 6 s", "vsock port 22", "doppel logs web"])
    check_equal(machines.state("web"), "running", "state")
    machines.fails("launch", "--memory=256M", "--wait=1", "--net=none", "--name=alone", "tiny",
                   says=["vsock port 22;"])
    machines.fails("image", "rm", "tiny", says="doppel rm")
    check_in("no seed", machines.run("logs", "web"), "a seed that nobody asked for")


@case("an image with a firmware boots from it", limit_s=60)
def _(folder):
    machines = Machines(folder)
    machines.run("image", "import", small_disk(folder), "--name=fw", "--firmware",
                 guests.uboot("qemu-riscv64"))
    machines.fails("launch", "--append=quiet", "fw", status=2, says=["--append", "no kernel"])
    check_equal(json.loads(machines.run("ls", "-o", "json")), [], "machines that were left")
    machines.run("launch", "--name=web", "--wait=0", "fw")
    tap.wait_until(lambda: "U-Boot 20" in machines.run("logs", "web"), 30, "U-Boot")


if __name__ == "__main__":
    process.no_core_dumps()
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])
