#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders of the host as root and shares of Debian's kernel, over virtio-fs.

    shares_test.py DOPPEL [--long] [--only REGEX]
"""
import fcntl
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import guests
import programs
import tap
from machines import Machines
from process import Doppel, descriptors_of
from tap import case, check, check_equal, check_in, wait_until

BOOT_S = 120
READY = "doppel: guest is ready"
MIB = 1 << 20
NOBODY = 65534


def boot(*arguments, **extra):
    machine = Doppel("--kernel", guests.kernel(), *arguments, **extra)
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    return machine


def power_off(machine):
    """The sandbox ends a server that makes a call it may not: that must not pass unseen."""
    machine.type("poweroff")
    machine.check_exit(0, BOOT_S)
    check("file server ended" not in machine.errors(), machine.errors())


def root_of(folder):
    """A root that the shared-folder tests write to."""
    return guests.busybox_root(folder / "root")


def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def server_of(machine):
    """The process that serves the shares: the child of the machine's keeper."""
    for child in children(machine.pid):
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "doppel-keeper":
            return tap.wait_until(lambda: children(child), 5, "a file server")[0]
    raise AssertionError("there is no keeper")


def digest(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


# ---- booting ----

@case("a folder boots to a shell, at most twice as late as an initramfs", limit_s=240)
def _(folder):
    root = root_of(folder)

    def seconds(*arguments):
        start = time.monotonic()
        machine = boot(*arguments)
        took = time.monotonic() - start
        power_off(machine)
        return took

    seconds("--root", root)  # links are made at the first
    by_folder = seconds("--root", root)
    by_initramfs = seconds("--initrd", guests.initramfs())
    if by_folder > 2 * by_initramfs:  # the host was busy with something else?
        by_folder = min(by_folder, seconds("--root", root))
    tap.comment(f"folder {by_folder:.2f} s, initramfs {by_initramfs:.2f} s")
    check(by_folder <= 2 * by_initramfs,
          f"{by_folder:.2f} s from a folder, {by_initramfs:.2f} s from an initramfs")


@case("a folder brings its newest kernel along, from nowhere outside itself", limit_s=180)
def _(folder):
    root = root_of(folder)
    (root / "boot").mkdir()
    (root / "boot/vmlinuz-6.1.9").write_text("an older one, which is none")
    shutil.copy(guests.kernel(), root / "boot/vmlinuz-6.1.10")
    machine = Doppel(root)
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    check_in("root / virtiofs rw", machine.run("cat /proc/mounts"), "mounts")
    power_off(machine)
    (root / "boot/vmlinuz-6.1.11").symlink_to(guests.kernel())  # leads out
    machine = Doppel(root, terminal=False)
    machine.check_exit(2)
    check_in("vmlinuz-6.1.11': No such file", machine.errors(), "error")


@case("machines launched from one folder have copies of it, and the folder stays as it was",
      limit_s=240)
def _(folder):
    root = root_of(folder)
    (root / "boot").mkdir()
    shutil.copy(guests.kernel(), root / "boot/vmlinuz-6.1.10")
    os.setxattr(root / "srv", "user.doppel.test", b"kept")
    before = sorted(str(path) for path in root.rglob("*"))
    machines = Machines(folder)
    for name in ("a", "b"):
        machines.launch(name, "--memory=256M", "./root")
        wait_until(lambda name=name: "guest is ready" in machines.run("logs", name), BOOT_S, name)
    for name in ("a", "b"):
        console = Doppel(name, command="console", env=machines.environment)
        console.type("")
        console.expect("# ")
        check_equal(console.run("ls /written* 2>/dev/null; true").strip(), "", "what others wrote")
        console.run(f"echo {name} >/written-{name}; sync")
        console.send("\x1d")
        console.check_exit(0)
    check_equal(sorted(str(path) for path in root.rglob("*")), before, "the folder")
    check_equal((machines.home("a") / "root/written-a").read_text(), "a\n", "what a wrote")
    check_equal(os.getxattr(machines.home("a") / "root/srv", "user.doppel.test"), b"kept", "attribute")
    machines.run("kill", "a")
    shutil.rmtree(root)
    machines.run("start", "a")
    machines.run("rm", "-f", "a")
    check(not machines.home("a").exists(), "the copy stayed")
    root.mkdir(mode=0o755)
    machines.fails("launch", "--name", "c", "./root", says="name a --kernel")
    check(not machines.home("c").exists(), "a machine that never was")


@case("--icount: the same run from a folder twice", limit_s=180, long=True)
def _(folder):
    root = root_of(folder)
    (root / "etc/console").write_text("#!/bin/sh\nfind /bin | sort | md5sum\ncat /bin/busybox | "
                                      "md5sum\npoweroff -f\n")
    boot_once = ["--kernel", guests.kernel(), "--root", f"{root}", "--icount"]
    Doppel(*boot_once, terminal=False).check_exit(0, BOOT_S)  # makes links
    outputs = []
    for _ in range(2):
        machine = Doppel(*boot_once, terminal=False)
        machine.check_exit(0, BOOT_S)
        outputs.append(bytes(machine.output))
    check_equal(outputs[1], outputs[0], "output")


# ---- files ----

FSX = """
# Random writes, cuts and reads of a file and of a model in memory.
rm -f /tmp/model $1; : >/tmp/model; : >$1; seed=$2
next() { seed=$(( (seed * 1103515245 + 12345) % 2147483648 )); n=$(( seed / 65536 % $1 )); }
i=0
while [ $i -lt $3 ]; do
    next 100; where=$n; next 40; count=$n; next 4096; size=$((n + 1)); next 10
    if [ $n -lt 6 ]; then
        head -c $((size * count)) /dev/urandom >/tmp/data
        for to in /tmp/model $1; do
            dd if=/tmp/data of=$to bs=$size seek=$where conv=notrunc 2>/dev/null
        done
    elif [ $n -lt 8 ]; then
        for to in /tmp/model $1; do truncate -s $((size * where)) $to; done
    else
        a=$(dd if=/tmp/model bs=$size skip=$where count=$count 2>/dev/null | md5sum)
        b=$(dd if=$1 bs=$size skip=$where count=$count 2>/dev/null | md5sum)
        [ "$a" = "$b" ] || { echo "differs at step $i"; exit 1; }
    fi
    [ $((i % 25)) = 24 ] && echo 1 >/proc/sys/vm/drop_caches
    cmp /tmp/model $1 || { echo "differs at step $i"; exit 1; }
    i=$((i + 1))
done
"""


@case("files go to and fro whole; names, links, modes and times are kept", limit_s=240)
def _(folder):
    root = root_of(folder)
    data = random.Random(4).randbytes(5 * MIB + 123)
    (root / "srv/from-host").write_bytes(data)
    (root / "srv/fsx").write_text(FSX)
    machine = boot("--root", root)
    check_in(hashlib.md5(data).hexdigest(), machine.run("md5sum /srv/from-host"), "sum")
    machine.run("cd /srv; head -c 7000001 /dev/urandom >from-guest; sync")
    check_in(digest(root / "srv/from-guest"), machine.run("md5sum from-guest"), "sum")
    machine.run("ln from-guest linked; ln -s from-guest symbolic; chmod 640 from-guest; "
                "touch -d '2001-02-03 04:05:06' from-guest; mkdir -p a/b/c; mv linked a/b/c")
    st = (root / "srv/from-guest").stat()
    check_equal((st.st_nlink, st.st_mode & 0o777, st.st_mtime), (2, 0o640, 981173106), "attributes")
    check((root / "srv/a/b/c/linked").samefile(root / "srv/from-guest"), "a hard link")
    check_equal(os.readlink(root / "srv/symbolic"), "from-guest", "link")
    machine.run(f"sh fsx /srv/file {random.randrange(1 << 30)} 60", 120)
    (root / "srv/from-host").write_bytes(b"changed\n")
    time.sleep(1.1)
    check_equal(machine.run("cat from-host").strip(), "changed", "what the host has changed")
    (root / "srv/new").write_text("new\n")
    (root / "srv/symbolic").unlink()
    time.sleep(1.1)
    check_equal(machine.run("cat new; ls symbolic 2>&1 | grep -c No").split(), ["new", "1"], "names")
    # A file that is open outlives its name.
    machine.run("exec 5<>from-guest; rm from-guest a/b/c/linked; echo changed >&5")
    check_equal(machine.run("head -n 1 /proc/self/fd/5").strip(), "changed", "an open file")
    power_off(machine)


@case("a tree of many files (20,000 with --long): found, with attributes, and removed", limit_s=300)
def _(folder):
    root = root_of(folder)
    folders = 100 if tap.options.long else 20
    for i in range(folders):
        (root / f"srv/tree/{i}").mkdir(parents=True)
        for k in range(200):
            (root / f"srv/tree/{i}/{k}").touch()
    machine = boot("--root", root)
    check_equal(machine.run("find /srv/tree -type f | wc -l", 120).strip(), f"{200 * folders}", "files")
    check_equal(machine.run("find /srv/tree -type f -size -1 | wc -l", 120).strip(), f"{200 * folders}",
                "files with attributes")
    if os.geteuid() == 0:  # who alone sees them
        held = descriptors_of(server_of(machine))
        check(len(held) < 3000, f"the server has {len(held)} descriptors")
    machine.run("rm -r /srv/tree", 120)
    check(not (root / "srv/tree").exists(), "the tree is still there")
    power_off(machine)


# ---- shares ----

@case("shares are mounted by their tag; a read-only one refuses, and owners are as asked",
      limit_s=180)
def _(folder):
    writable, read_only = folder / "a b", folder / "ro"
    writable.mkdir()
    read_only.mkdir()
    (read_only / "file").write_text("text\n")
    (writable / "file").write_text("text\n")
    machine = boot("--initrd", guests.initramfs(), "-v", f"{writable}:/srv/a:uid=7",
                   "-v", f"{read_only}:/srv/b:ro")
    check_in("systemd.mount-extra=share0:/srv/a:virtiofs "
             "systemd.mount-extra=share1:/srv/b:virtiofs:ro",
             machine.run("cat /proc/cmdline"), "command line")
    machine.run("mkdir /a /b; mount -t virtiofs share0 /a; mount -t virtiofs share1 /b")
    check_equal(machine.run("stat -c %u /a/file /b/file").split(), ["7", "0"], "owners")
    machine.run("echo more >>/a/file; cat /b/file")
    check_equal((writable / "file").read_text(), "text\nmore\n", "the file")
    for command in ("echo x >/b/file", "rm /b/file", "mkdir /b/x", "chmod 600 /b/file",
                    "touch /b/file", "mv /b/file /b/x"):
        check_in("Read-only", machine.run(f"({command}) 2>&1 || true"), command)
    check_equal((read_only / "file").read_text(), "text\n", "the file")
    power_off(machine)


@case("links that lead out of a share lead nowhere", limit_s=180)
def _(folder):
    secret = folder / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret\n")
    share = folder / "share"
    share.mkdir()
    (share / "absolute").symlink_to(secret)
    (share / "upwards").symlink_to("../secret")
    (share / "file").symlink_to(secret / "file")
    machine = boot("--initrd", guests.initramfs(), "-v", f"{share}:/s")
    machine.run("mkdir /s; mount -t virtiofs share0 /s; ln -s ../../../etc /s/planted; "
                f"ln -s {secret} /s/planted2; mkdir /s/sub; ln -s .. /s/sub/up")
    for path in ("absolute/file", "upwards/file", "file", "planted2/file", "sub/../../secret/file",
                 "../secret/file"):
        check_in("No such", machine.run(f"cat /s/{path} 2>&1 || true"), path)
    check_equal(machine.run("ls /s/planted/passwd").strip(), "/s/planted/passwd",
                "a link that the guest follows itself")
    machine.run("echo planted >/s/sub/up/x; rm -r /s/planted2 /s/absolute")
    check_equal((share / "x").read_text(), "planted\n", "a file by a link within the share")
    check_equal((secret / "file").read_text(), "secret\n", "the secret")
    check_equal(sorted(os.listdir(folder)), ["secret", "share"], "folders")
    power_off(machine)


@case("an unprivileged user's guest keeps owners, setuid and devices over boots", limit_s=240)
def _(folder):
    if os.getuid() != 0:
        raise tap.Skip("only root can be somebody else")
    root = root_of(folder)
    folder.chmod(0o755)
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    # The packages' folder need not be readable for everybody.
    kernel = folder / "kernel"
    shutil.copy(guests.kernel(), kernel)
    program = folder / "doppel"
    shutil.copy(tap.options.doppel, program)
    program.chmod(0o755)

    def boot_as_nobody():
        machine = Doppel("--kernel", kernel, "--root", root, user=NOBODY, group=NOBODY,
                         extra_groups=[], executable=str(program), env={})
        machine.expect(READY, BOOT_S)
        machine.expect("# ")
        return machine

    machine = boot_as_nobody()
    machine.run("cd /srv; cp /bin/busybox su; chown 3:4 su; chmod 6755 su; mknod null c 1 3; "
                "mkfifo fifo; mkdir -m 1777 tmp; echo x >private; chmod 0 private; chown 9 private;"
                " ln -s su link; mkdir -m 700 home; chown 1000:1000 home; ln -s / home/link; sync")
    power_off(machine)
    for path in (root / "srv").iterdir():
        st = path.lstat()
        check_equal((st.st_uid, st.st_gid), (NOBODY, NOBODY), f"owner of {path.name}")
        check_equal(st.st_mode & 0o7000, 0, f"mode of {path.name}")
        check(path.is_symlink() or path.is_file() or path.is_dir(), f"type of {path.name}")
    machine = boot_as_nobody()
    check_equal(machine.run("cd /srv; stat -c '%n %u %g %a %F' su null fifo tmp private home "
                            "home/link").splitlines(),
                ["su 3 4 6755 regular file", "null 0 0 644 character special file",
                 "fifo 0 0 644 fifo", "tmp 0 0 1777 directory", "private 9 0 0 regular file",
                 "home 1000 1000 700 directory", "home/link 1000 1000 777 symbolic link"],
                "attributes")
    machine.run("echo x >null; cat private; ls home")
    power_off(machine)


@case("a folder that is the root of a machine is refused to another, which says whose it is", limit_s=120)
def _(folder):
    root = root_of(folder)
    machine = boot("--root", root)
    other = Doppel("--kernel", guests.kernel(), "--root", root, terminal=False)
    other.check_exit(2)
    check_in(f"'{root}' is the root of another machine: process {machine.pid}", other.errors(), "error")
    power_off(machine)
    power_off(boot("--root", root))


# ---- locks ----

LOCKER = r"""
/* lock try|take|count FILE ...: try says who may have it; take holds until a line comes; count adds
   to the number in FILE, each time under a lock that it waits for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int set(int fd, int how, int type)
{
    struct flock lock = {.l_type = type, .l_start = 10, .l_len = 5};

    return fcntl(fd, how, &lock);
}

int main(int count, char **words)
{
    int fd = open(words[2], O_RDWR | O_CREAT, 0644);
    char line[32] = "";

    if (!strcmp(words[1], "try")) {
        printf("posix %s", set(fd, F_SETLK, F_WRLCK) ? strerror(errno) : "free");
        printf(", flock %s\n", flock(fd, LOCK_EX | LOCK_NB) ? strerror(errno) : "free");
        return 0;
    }
    if (!strcmp(words[1], "take")) {
        if (set(fd, F_SETLKW, F_WRLCK) || flock(fd, LOCK_EX))
            perror("take");
        puts("taken");
        fflush(stdout);
        read(0, line, 1);
        return 0;
    }
    for (int i = 0; i < atoi(words[3]); i++) {
        if (i % 2 ? set(fd, F_SETLKW, F_WRLCK) : flock(fd, LOCK_EX))
            perror("lock");
        if (set(fd, F_SETLKW, F_WRLCK) || pread(fd, line, sizeof(line) - 1, 0) < 0)
            perror("count");
        int size = sprintf(line, "%d\n", atoi(line) + 1);
        pwrite(fd, line, size, 0);
        set(fd, F_SETLK, F_UNLCK);
        flock(fd, LOCK_UN);
    }
    puts("counted");
}
"""
BUSY = "posix Resource temporarily unavailable, flock Resource temporarily unavailable"


def boot_with_locks(shared, words=":locks"):
    machine = boot("--initrd", guests.initramfs(), "-v", f"{shared}:/s{words}")
    machine.run("mkdir /s; mount -t virtiofs share0 /s")
    return machine


@case("locks of a share are seen by the host and other machines, and end with who holds them",
      limit_s=300)
def _(folder):
    shared = folder / "shared"
    shared.mkdir()
    shutil.copy(programs.program(LOCKER), shared / "lock")
    one, other = boot_with_locks(shared), boot_with_locks(shared)
    check_equal(one.run("/s/lock try /s/file").strip(), "posix free, flock free", "nobody has it")
    one.run("mkfifo /p; (/s/lock take /s/file </p >/out) & exec 7>/p; "
            "until grep -q taken /out; do sleep 0.1; done")
    check_equal(one.run("/s/lock try /s/file").strip(), BUSY, "in the guest")
    check_equal(other.run("/s/lock try /s/file").strip(), BUSY, "in the other")
    with open(shared / "file", "r+b") as file:
        for take, what in ((lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 10), "posix"),
                           (lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB), "flock")):
            try:
                take()
                raise AssertionError(f"the host got the guest's {what} lock")
            except BlockingIOError:
                pass
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 50)
        # Who waits gets it when the other program ends; the machine goes on meanwhile.
        other.run("mkfifo /p; (/s/lock take /s/file </p >/out) & exec 7>/p; sleep 0.5")
        check_equal(other.run("cat /out; echo alive; ls /s | wc -l").split(), ["alive", "2"], "waiting")
        one.run("echo >&7; wait")
        other.run("until grep -q taken /out; do sleep 0.1; done")
        check_equal(one.run("/s/lock try /s/file").strip(), BUSY, "the other has it")
        # A machine that is killed keeps nothing.
        other.kill(signal.SIGKILL)
        other.check_exit(128 + signal.SIGKILL)

        def is_free():
            return one.run("/s/lock try /s/file").strip() == "posix free, flock free"

        tap.wait_until(is_free, 10, "a lock of a machine that is gone")
        fcntl.lockf(file, fcntl.LOCK_EX)
        check_in("posix Resource", one.run("/s/lock try /s/file"), "the host's lock")
    power_off(one)


@case("two machines and the host count in one file", limit_s=300)
def _(folder):
    shared = folder / "shared"
    shared.mkdir()
    shutil.copy(programs.program(LOCKER), shared / "lock")
    (shared / "file").touch()
    machines = [boot_with_locks(shared) for _ in range(2)]
    for machine in machines:
        machine.run("(/s/lock count /s/file 40 >/out; echo end >>/out) & true")
    with open(shared / "file", "r+b", buffering=0) as file:
        for _ in range(40):
            fcntl.lockf(file, fcntl.LOCK_EX, 5, 10)
            number = int(os.pread(file.fileno(), 20, 0) or 0)
            os.pwrite(file.fileno(), b"%d\n" % (number + 1), 0)
            fcntl.lockf(file, fcntl.LOCK_UN, 5, 10)
            time.sleep(0.01)
    for machine in machines:
        machine.run("until grep -q end /out; do sleep 0.1; done", 60)
        check_equal(machine.run("cat /out").split(), ["counted", "end"], "how it went")
        power_off(machine)
    check_equal((shared / "file").read_text(), "120\n", "the number")


# ---- when things go wrong ----

@case("the guest goes on when the file server is killed, and nothing stays behind", limit_s=240)
def _(folder):
    machine = boot("--root", root_of(folder))
    machine.run("cd /; echo before >/srv/file; sync")
    for _ in range(3):
        server = server_of(machine)
        os.kill(server, signal.SIGKILL)
        tap.wait_until(lambda: server_of(machine) != server, 10, "another server")
        time.sleep(1.2)  # names and attributes that the guest has are too old then
        check_equal(machine.run("cat /srv/file").strip(), "before", "the file")
        machine.run("echo after >/srv/other; rm /srv/other")
    server = server_of(machine)
    check_in("file server ended", machine.errors(), "standard error")
    machine.kill(signal.SIGKILL)
    machine.check_exit(128 + signal.SIGKILL)

    def is_gone():
        try:
            return pathlib.Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    tap.wait_until(is_gone, 5, "the end of the server")


@case("a guest that does nothing costs its file server nothing", limit_s=120)
def _(folder):
    machine = boot("--root", root_of(folder))
    server = server_of(machine)

    def ticks():
        fields = pathlib.Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    time.sleep(1)
    before = ticks()
    time.sleep(2)
    check(ticks() - before <= 1, f"{ticks() - before} ticks of CPU in two idle seconds")
    memory = pathlib.Path(f"/proc/{server}/status").read_text()
    check(int(re.search(r"RssAnon:\s+(\d+) kB", memory).group(1)) < 4096, "memory of the server")
    power_off(machine)


@case("folders and words that cannot be are named", limit_s=60)
def _(folder):
    empty = folder / "empty"
    empty.mkdir()
    kernel = guests.kernel()

    def refuse(*arguments, text):
        machine = Doppel(*arguments, terminal=False)
        machine.check_exit(2)
        check_in(text, machine.errors(), f"error for {arguments}")

    refuse(empty, text="has no boot/vmlinuz-*, vmlinuz or vmlinux")
    refuse("--root", folder / "missing", text="No such file")
    refuse("--root", empty, empty, text="there is a root already")
    refuse("--kernel", kernel, "--root", kernel, text="Not a directory")
    refuse("--kernel", kernel, "-v", f"{empty}", text="HOST:GUEST")
    refuse("--kernel", kernel, "-v", f"{empty}:relative", text="HOST:GUEST")
    refuse("--kernel", kernel, "-v", f"{empty}:/a b", text="HOST:GUEST")
    refuse("--kernel", kernel, "-v", f"{empty}:/a:rx", text="'rx' is not one of ro, rw, locks")
    refuse("--kernel", kernel, "-v", f"{folder}/missing:/a", text="missing': No such file")
    refuse("--kernel", kernel, *[f"-v{empty}:/{i}" for i in range(9)], text="at most 8 folders")


# ---- real software ----

PYTHON = r"""
import fcntl, mmap, os, sqlite3, sys
os.chdir("/srv")
# Locks exclude other processes.
for take in (fcntl.lockf, fcntl.flock):
    with open("lock", "w") as lock:
        take(lock, fcntl.LOCK_EX)
        if os.fork() == 0:
            with open("lock", "w") as other:
                try:
                    take(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os._exit(1)
                except OSError:
                    os._exit(0)
        assert os.wait()[1] == 0
# Memory that is shared with a file is written to it.
with open("mapped", "w+b") as file:
    file.truncate(100000)
    with mmap.mmap(file.fileno(), 100000) as memory:
        memory[5000:5005] = b"hello"
        memory.flush()
    assert os.pread(file.fileno(), 5, 5000) == b"hello"
# Several processes write to one database.
db = sqlite3.connect("db", timeout=60)
db.execute("create table t (n integer)")
db.execute("insert into t values (0)")
db.commit()
db.close()
for _ in range(3):
    if os.fork() == 0:
        db = sqlite3.connect("db", timeout=60, isolation_level=None)
        for _ in range(20):
            db.execute("begin immediate")
            db.execute("update t set n = n + 1")
            db.execute("commit")
        os._exit(0)
for _ in range(3):
    assert os.wait()[1] == 0
db = sqlite3.connect("db")
assert db.execute("select n from t").fetchone() == (60,)
assert db.execute("pragma integrity_check").fetchone() == ("ok",)
os.setxattr("db", "user.note", b"value")
assert os.listxattr("db") == ["user.note"]
fd = os.open("/srv", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(fd, b"nameless")
os.link(str(fd), "named", src_dir_fd=os.open("/proc/self/fd", os.O_RDONLY))
assert open("named").read() == "nameless"
assert os.copy_file_range(os.open("named", os.O_RDONLY), os.open("copy", os.O_CREAT | os.O_RDWR), 8) == 8
print("python", "is content")
"""


@case("Python: locks of both kinds, shared mappings, sqlite, nameless files", limit_s=300, long=True)
def _(folder):
    tree = guests.run_tool("fetch_guests.py", "--root", "python3", "busybox-static")
    root = folder / "root"
    shutil.copytree(tree.split(" ", 1)[1].strip(), root, symlinks=True)
    guests.busybox_root(root) if not (root / "bin").is_symlink() else usr_merged(root)
    (root / "srv/check.py").write_text(PYTHON)
    machine = boot("--root", root, "--memory", "1G")
    check_in("python is content", machine.run("python3 /srv/check.py", 120), "output")
    power_off(machine)


def usr_merged(root):
    plain = root.parent / "plain"
    guests.busybox_root(plain)
    for path in plain.rglob("*"):
        name = path.relative_to(plain)
        if path.is_symlink() or path.is_file():
            (root / name.parent).mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(root / name):
                shutil.copy(path, root / name, follow_symlinks=False)
        elif not (root / name).exists():
            (root / name).mkdir(parents=True)


if __name__ == "__main__":
    for name in ("linux-image-riscv64", "busybox-static"):
        try:
            guests.package(name)
        except tap.Skip as reason:
            tap.comment(f"{name}: {reason}")
    tap.main(__doc__.splitlines()[0])
