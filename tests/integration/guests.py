# SPDX-License-Identifier: Apache-2.0
"""Debian's kernel, firmware and an initramfs for tests, fetched when absent."""
import functools
import importlib.machinery
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
FETCH_LIMIT_S = 600


def run_tool(name, *arguments):
    """A case that fetches for the first time may take long: the tool has its own
    limit, and a tool that fails means that there is no network."""
    try:
        result = subprocess.run([sys.executable, str(TOOLS / name), *arguments],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, check=False,
                                timeout=FETCH_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise tap.Skip(f"{name} took longer than {FETCH_LIMIT_S} s") from None
    if result.returncode:
        raise tap.Skip(result.stderr.strip().splitlines()[-1] if result.stderr else name)
    return result.stdout


@functools.lru_cache(None)
def package(name):
    """The folder of an unpacked package."""
    return pathlib.Path(run_tool("fetch_guests.py", name).split(" ", 1)[1].strip())


def kernel():
    return sorted((package("linux-image-riscv64") / "boot").glob("vmlinu[xz]-*"))[-1]


def opensbi(name):
    return package("opensbi") / "usr/lib/riscv64-linux-gnu/opensbi/generic" / name


def uboot(board):
    return package("u-boot-qemu") / "usr/lib/u-boot" / board / "u-boot.bin"


def installer(name):
    return (package("debian-installer-13-netboot-riscv64") /
            "usr/lib/debian-installer/images/13/riscv64/text/debian-installer/riscv64" / name)


@functools.lru_cache(None)
def scratch():
    """A folder that lives as long as the test program."""
    folder = tempfile.TemporaryDirectory(prefix="doppel-guests-")
    scratch.keep = folder  # removed when the interpreter ends
    return pathlib.Path(folder.name)


@functools.lru_cache(None)
def initramfs(modules="", command=None, add=()):
    """The file with busybox; `command` is run instead of a shell; `add` are files as
    HOST:GUEST."""
    package("busybox-static")
    kernel()
    output = scratch() / f"{len(list(scratch().iterdir()))}.cpio.gz"
    execute = ["--exec", command] if command else []
    added = [word for spec in add for word in ("--add", spec)]
    run_tool("make_initramfs.py", "--modules", modules, *added, *execute, str(output))
    return output


ROOT_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
[ -e /bin/ls ] || /bin/busybox --install -s
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
hostname doppel
exec /bin/busybox init
"""


def busybox_root(folder):
    """Makes `folder` a root that boots to a shell without an initramfs."""
    make = importlib.machinery.SourceFileLoader("make_initramfs",
                                                str(TOOLS / "make_initramfs.py")).load_module()
    busybox = package("busybox-static") / "usr/bin/busybox"
    for name in (*make.DIRECTORIES, "srv"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, folder / "bin/busybox")
    (folder / "bin/sh").symlink_to("busybox")
    for name, text in (("sbin/init", ROOT_INIT), ("etc/inittab", make.INITTAB),
                       ("etc/console", make.CONSOLE_SHELL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return folder


@functools.lru_cache(None)
def root_disk(*packages):
    """A disk with the packages, busybox and all that they depend on, as ext4."""
    if not has_program("mke2fs"):
        raise tap.Skip("mke2fs is missing")
    tree = run_tool("fetch_guests.py", "--root", "busybox-static", *packages)
    tree = pathlib.Path(tree.split(" ", 1)[1].strip())
    for name in ("dev", "proc", "sys", "tmp"):
        (tree / name).mkdir(exist_ok=True)
    disk = scratch() / ("+".join(packages) + ".ext4")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "2G"],
                   stdout=subprocess.DEVNULL, check=True)
    return disk


def fetch_all():
    """Outside of any case's time limit; a failure shows in the cases that need it."""
    for name in ("linux-image-riscv64", "busybox-static", "opensbi", "u-boot-qemu",
                 "debian-installer-13-netboot-riscv64"):
        try:
            package(name)
        except tap.Skip as reason:
            tap.comment(f"{name}: {reason}")


def has_program(name):
    return shutil.which(name) is not None
