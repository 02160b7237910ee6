#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a small initramfs for riscv64 guests out of Debian's static busybox.

    make_initramfs.py [--modules A,B] [--add HOST:GUEST]... [--exec COMMAND] OUTPUT

The guest mounts what Linux programs expect, loads the modules (with what they
depend on), prints "doppel: guest is ready" and gives a shell on its console;
poweroff, reboot and halt work there. With --exec it runs the command instead,
prints "doppel: exit STATUS" and powers off.

The same inputs give the same bytes; no root is needed, as device nodes are
written into the archive directly.
"""
import argparse
import gzip
import lzma
import os
import pathlib
import re
import stat
import subprocess
import sys

TOOLS = pathlib.Path(__file__).resolve().parent
DIRECTORIES = ("bin", "dev", "etc", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr",
               "usr/bin", "usr/sbin", "var")
DEVICES = {"dev/console": (5, 1), "dev/null": (1, 3)}

INIT = """#!/bin/sh
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
hostname doppel
ip link set lo up
while read -r module; do
    insmod "$module" || echo "doppel: cannot load $module"
done </etc/modules
exec /sbin/init
"""

# init restarts the console when its shell ends.
INITTAB = """::respawn:/etc/console
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r 2>/dev/null
"""

CONSOLE_SHELL = """#!/bin/sh
[ -e /run/ready ] || echo "doppel: guest is ready"
: >/run/ready
export HOME=/root
cd
exec cttyhack sh -l
"""

# stty waits until the console has taken all output, which poweroff does not. The end
# of a session hangs its terminal up, which drops output: so it waits there, too.
CONSOLE_COMMAND = """#!/bin/sh
echo "doppel: guest is ready"
export HOME=/root
cd
setsid cttyhack sh -c 'sh -l /etc/command; status=$?; stty sane; exit $status'
echo "doppel: exit $?"
stty sane
sync
poweroff -f
"""


def fail(text):
    sys.exit(f"make_initramfs: {text}")


class Cpio:
    """A "newc" archive (cpio(5)); parents are added before what is in them."""

    def __init__(self):
        self.bytes = bytearray()
        self.names = set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        encoded = name.encode() + b"\0"
        inode = len(self.names) + 1
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        self.names.add(name)
        self.bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.pad(4)
        self.bytes += data
        self.pad(4)

    def pad(self, size):
        self.bytes += bytes(-len(self.bytes) % size)

    def directory(self, name):
        if name in ("", ".") or name in self.names:
            return
        self.directory(os.path.dirname(name))
        self.entry(name, stat.S_IFDIR | 0o755)

    def put(self, name, mode, data, device=(0, 0)):
        if name in self.names:
            fail(f"/{name} would be there twice")
        self.directory(os.path.dirname(name))
        self.entry(name, mode, data, device)

    def file(self, name, data, executable=False):
        self.put(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def symlink(self, name, target):
        self.put(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def finish(self):
        self.entry("TRAILER!!!", 0)
        self.pad(512)
        return bytes(self.bytes)


def packages():
    """Folders of the unpacked Debian packages, by name."""
    wanted = ["linux-image-riscv64", "busybox-static"]
    result = subprocess.run([str(TOOLS / "fetch_guests.py"), *wanted], stdout=subprocess.PIPE,
                            text=True, check=False)
    if result.returncode:
        sys.exit(1)  # it said why
    return {name: pathlib.Path(folder) for name, folder in
            (line.split(" ", 1) for line in result.stdout.splitlines())}


def module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")


class Modules:
    """The loadable modules of the kernel package. It has no modules.dep, which is
    made at installation; each module names its dependencies itself."""

    def __init__(self, package):
        tops = sorted(package.glob("usr/lib/modules/*")) or fail(f"no modules in {package}")
        top = tops[-1]
        self.files = {module_name(path): path for path in sorted(top.rglob("*.ko*"))}
        self.builtin = {module_name(line) for line in
                        (top / "modules.builtin").read_text().splitlines()}
        self.loaded = {}  # name: bytes, in the order of loading

    def load(self, name):
        name = name.replace("-", "_")
        if name in self.builtin or name in self.loaded:
            return
        if name not in self.files:
            fail(f"the kernel has no module '{name}'")
        path = self.files[name]
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        # The terminator of one string is the start of the next: look, do not eat it.
        for match in re.finditer(rb"\0(depends=|softdep=pre: )([^\0]*)(?=\0)", data):
            for needed in re.split(r"[, ]+", match.group(2).decode()):
                # A soft dependency may name an alias, or what the kernel has built in.
                is_soft = match.group(1).startswith(b"softdep")
                if needed and not (is_soft and module_name(needed) not in self.files):
                    self.load(needed)
        self.loaded[name] = data


def add_host(archive, spec):
    host, colon, guest = spec.partition(":")
    guest = os.path.normpath(guest or host).lstrip("/")
    host = pathlib.Path(host)
    if not colon or not os.path.lexists(host):
        fail(f"--add {spec}: wanted is HOST:GUEST, and HOST must exist")
    paths = [host, *sorted(host.rglob("*"))] if host.is_dir() else [host]
    for path in paths:
        name = os.path.normpath(os.path.join(guest, path.relative_to(host)))
        if path.is_symlink():
            archive.symlink(name, os.readlink(path))
        elif path.is_dir():
            archive.directory(name)
        elif path.is_file():
            archive.file(name, path.read_bytes(), os.access(path, os.X_OK))


def build(options, folders):
    archive = Cpio()
    modules = Modules(folders["linux-image-riscv64"])
    for name in filter(None, options.modules.split(",")):
        modules.load(name)

    for name in DIRECTORIES:
        archive.directory(name)
    for name, device in DEVICES.items():
        archive.put(name, stat.S_IFCHR | 0o600, b"", device)
    archive.file("bin/busybox", (folders["busybox-static"] / "usr/bin/busybox").read_bytes(), True)
    archive.symlink("bin/sh", "busybox")
    archive.file("init", INIT.encode(), True)
    archive.file("etc/inittab", INITTAB.encode())
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    archive.file("etc/modules", b"".join(b"/lib/modules/%s.ko\n" % name.encode()
                                         for name in modules.loaded))
    for name, data in modules.loaded.items():
        archive.file(f"lib/modules/{name}.ko", data)
    if options.exec is None:
        archive.file("etc/console", CONSOLE_SHELL.encode(), True)
    else:
        archive.file("etc/console", CONSOLE_COMMAND.encode(), True)
        archive.file("etc/command", options.exec.encode() + b"\n")
    for spec in options.add:
        add_host(archive, spec)
    return archive.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", default="", metavar="A,B", help="kernel modules to load")
    parser.add_argument("--add", action="append", default=[], metavar="HOST:GUEST",
                        help="a file or folder to put in")
    parser.add_argument("--exec", metavar="COMMAND", help="run this, then power off")
    parser.add_argument("output", type=pathlib.Path)
    options = parser.parse_args()

    data = gzip.compress(build(options, packages()), compresslevel=6, mtime=0)
    temporary = options.output.with_name(f"{options.output.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(options.output)


if __name__ == "__main__":
    main()
