#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with files and options is said in one line, and nothing is left
behind.

    bad_input_test.py DOPPEL [--long] [--only REGEX]
"""
import gzip
import os
import pwd
import random
import re
import socket
import struct
import subprocess

import tap
from assembler import RAM, elf, write_elf
from tap import Skip, case, check, check_equal, check_in

LIMIT_S = 20
GUEST = "start: j start"
CODE = b"\x6f\x00\x00\x00"  # j .
MIB = 1 << 20


def listing(folder):
    """Names, sizes and contents of everything below."""
    result = {}
    for path in sorted(folder.rglob("*")):
        result[str(path)] = path.read_bytes() if path.is_file() and os.access(path, os.R_OK) \
            and path.stat().st_size < MIB else path.lstat().st_mode
    return result


def refuse(folder, words, *texts, status=2, user=None):
    """`doppel boot WORDS` must end with one line that has all `texts`. A file and
    a disk that it names must be as before."""
    extra = ["--serial", f"file:{folder}/output"]
    if any(str(word).startswith("--serial") for word in words):
        extra = []
    before = listing(folder)
    command = [str(tap.options.doppel), "boot", *map(str, words)]
    if "--" not in command:
        command += extra
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder,
                            stderr=subprocess.PIPE, timeout=LIMIT_S, check=False, user=user)
    message = result.stderr.decode(errors="replace")
    what = f"{' '.join(map(str, words))} -> {message!r}"
    check(result.returncode == status, f"status {result.returncode}: {what}")
    check(re.fullmatch(r"doppel boot: [^\n]+\n", message), f"not one line: {what}")
    check(result.stdout == b"", f"it printed {result.stdout[:100]!r}: {what}")
    check(len(message) < 400, f"long-winded: {what}")
    for text in texts:
        check(re.search(text, message), f"without {text!r}: {what}")
    check(listing(folder) == before, f"files changed: {what}")
    return message


def guest_file(folder):
    path = folder / "guest.elf"
    path.write_bytes(elf(GUEST))
    return path


def file_with(folder, data, name="file"):
    path = folder / name
    path.write_bytes(data)
    return path


def image(size=4096, offset=0x200000, image_size=None):
    """A kernel with a header of Linux' boot protocol."""
    if image_size is None:
        image_size = size
    header = struct.pack("<IIQQQIIQQII", 0x6f, 0, offset, image_size, 0, 2, 0, 0, 0x5643534952,
                         0x05435352, 0)
    return header.ljust(size, b"\0")


# ---- kernels ----

@case("a kernel that is missing, empty, a directory or a FIFO")
def _(folder):
    missing = folder / "missing"
    refuse(folder, [missing], "cannot open kernel", "missing", "No such file")
    refuse(folder, ["--kernel", missing], "cannot open kernel", "missing")
    refuse(folder, ["--kernel="], "kernel")
    refuse(folder, [""], "kernel")
    refuse(folder, [file_with(folder, b"")], "kernel", "is empty")
    refuse(folder, [folder], "name a --kernel")
    refuse(folder, ["--kernel", folder], "is a directory")
    os.mkfifo(folder / "fifo")
    refuse(folder, [folder / "fifo"], "kernel", "not a regular file")
    refuse(folder, ["/dev/zero"], "kernel", "not a regular file")
    refuse(folder, [folder / ("x" * 300)], "kernel", "too long")


@case("a kernel, disk or directory that the user may not read")
def _(folder):
    if os.getuid() != 0:
        raise Skip("needs root to become somebody else")
    user = pwd.getpwnam("nobody").pw_uid
    folder.chmod(0o755)
    if not can_run_as(user):
        raise Skip("the program under test lies where others may not go")
    kernel = guest_file(folder)
    kernel.chmod(0)
    refuse(folder, [kernel], "kernel", "Permission denied", user=user)
    kernel.chmod(0o644)
    disk = file_with(folder, bytes(MIB), "disk")
    disk.chmod(0o444)
    refuse(folder, ["--disk", disk, kernel], "disk", "Permission denied", "readonly", user=user)
    disk.chmod(0)
    refuse(folder, ["--disk", f"{disk},readonly", kernel], "disk", "Permission denied", user=user)
    refuse(folder, ["--serial", f"file:{folder}/out", kernel], "serial", "Permission denied",
           user=user)
    refuse(folder, ["--serial", f"unix:{folder}/out", kernel], "serial", "Permission denied",
           user=user)


def can_run_as(user):
    try:
        return subprocess.run([str(tap.options.doppel), "version"], user=user, check=False,
                              stdout=subprocess.DEVNULL).returncode == 0
    except PermissionError:
        return False


@case("files that are no RISC-V kernel are named for what they are")
def _(folder):
    text = b"This is a text file, not a kernel.\n" * 100
    refuse(folder, [file_with(folder, text)], "not a RISC-V kernel")
    refuse(folder, [file_with(folder, b"#!/bin/sh\necho hello\n")], "a script")
    bzimage = bytearray(4096)
    bzimage[0x202:0x206] = b"HdrS"
    refuse(folder, [file_with(folder, bytes(bzimage))], "x86 kernel")
    arm = bytearray(4096)
    arm[0x38:0x3c] = b"ARM\x64"
    refuse(folder, [file_with(folder, bytes(arm))], "arm64 kernel")
    refuse(folder, [file_with(folder, struct.pack(">I", 0xd00dfeed).ljust(64, b"\0"))],
           "device tree", "--dtb")
    refuse(folder, ["--firmware", file_with(folder, bytes(bzimage))], "firmware", "x86 kernel")


@case("ELF files of other machines and forms are named for what they are")
def _(folder):
    segments = [(RAM, CODE, 4)]
    for data, text in ((write_elf(segments, RAM, machine=62), "x86-64"),
                       (write_elf(segments, RAM, machine=183), "AArch64"),
                       (write_elf(segments, RAM, machine=0xfefe), "unknown processor"),
                       (write_elf(segments, RAM, identity=b"\177ELF\1\1\1"), "32-bit"),
                       (write_elf(segments, RAM, identity=b"\177ELF\2\2\1"), "big-endian"),
                       (write_elf(segments, RAM, identity=b"\177ELF\3\1\1"), "class 3"),
                       (write_elf(segments, RAM, identity=b"\177ELF\2\1\2"), "version 2"),
                       (write_elf(segments, RAM, kind=1), "relocatable"),
                       (write_elf(segments, RAM, kind=4), "core dump"),
                       (write_elf([], RAM), "no loadable segment")):
        refuse(folder, [file_with(folder, data, "some.elf")], r"some\.elf", text)


@case("ELF files that lie outside of memory")
def _(folder):
    def broken(segments, entry=RAM):
        return file_with(folder, write_elf(segments, entry), "some.elf")

    refuse(folder, [broken([(0x1000, CODE, 4)], 0x1000)], "outside RAM", "0x1000", "--memory")
    refuse(folder, [broken([(0, CODE, 4)], 0)], "outside RAM")
    refuse(folder, [broken([(RAM - 2, CODE, 4)])], "outside RAM")
    refuse(folder, [broken([(1 << 63, CODE, 4)])], "outside RAM")
    refuse(folder, [broken([((1 << 64) - 2, CODE, 4)])], "wraps round")
    refuse(folder, [broken([(RAM, CODE, (1 << 64) - 1)])], "wraps round")
    refuse(folder, [broken([(RAM, CODE, 1 << 62)])], "outside RAM", "--memory")
    refuse(folder, ["--memory", "16M", broken([(RAM, CODE, 16 * MIB + 1)])], "outside RAM",
           "--memory")
    refuse(folder, ["--memory", "16M", broken([(RAM + 16 * MIB - 2, CODE, 4)])], "outside RAM")
    refuse(folder, [broken([(RAM, CODE, 4)], RAM - 4)], "entry")
    refuse(folder, [broken([(RAM, CODE, 4)], 0xffffffff80000000)], "entry")
    refuse(folder, ["--memory", "16M", broken([(RAM, CODE, 4)], RAM + 16 * MIB)], "entry")
    refuse(folder, [broken([(RAM, CODE * 2, 8), (RAM + 4, CODE, 4)])], "over")


@case("an ELF that is cut off anywhere, or has a damaged header, is refused or boots")
def _(folder):
    whole = write_elf([(RAM, CODE * 8, 64), (RAM + 4096, CODE, 4)], RAM, {"a": RAM, "b": RAM + 4})
    for size in (1, 3, 4, 5, 16, 63, 64, 65, 100, 119, 120, 175, 176, 180, 200, len(whole) - 1):
        refuse(folder, [file_with(folder, whole[:size])], "truncated|not a RISC-V kernel|ELF")
    for at in range(4, 176):
        for value in (0, 0x7f, 0xff):
            path = file_with(folder, whole[:at] + bytes([value]) + whole[at + 1:])
            check_survives(folder, path)


def check_survives(folder, path):
    """Refused in one line, or running: -S creates the machine and does no more."""
    words = [str(tap.options.doppel), "boot", "-S", "--serial", "none", str(path)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        # A machine that stands has its harts; the refusal comes at once.
        tap.wait_until(lambda: process.poll() is not None or threads(process.pid) > 1, 10,
                       "a verdict")
        if process.poll() is None:
            process.terminate()
            check_equal(process.wait(10), 128 + 15, "status")
            return
        message = process.stderr.read().decode()
        check_equal(process.returncode, 2, message)
        check(re.fullmatch(r"doppel boot: [^\n]+\n", message), f"not one line: {message!r}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return 0


@case("kernel Images that are cut off, broken or too large")
def _(folder):
    refuse(folder, [file_with(folder, image()[:63])], "not a RISC-V kernel")
    refuse(folder, [file_with(folder, image(offset=0x200001))], "broken header", "text offset")
    refuse(folder, [file_with(folder, image(offset=1 << 62))], "kernel", "--memory")
    refuse(folder, [file_with(folder, image(image_size=1 << 40))], "kernel", "--memory")
    refuse(folder, [file_with(folder, image(image_size=(1 << 64) - 1))], "kernel", "--memory")
    refuse(folder, ["--memory", "16M", file_with(folder, image(15 * MIB))], "kernel", "--memory")
    pe = bytearray(image())
    pe[0:2] = b"MZ"
    pe[0x3c:0x40] = struct.pack("<I", 0x40)
    pe[0x40:0x98] = struct.pack("<IHHIIIHH", 0x4550, 0x5064, 1, 0, 0, 0, 24, 0).ljust(88, b"\0")
    pe[0x70:0x98] = b".text".ljust(8, b"\0") + struct.pack("<IIIIIIHHI", 0, 0, 1 << 20, 0x1000,
                                                           0, 0, 0, 0, 0)
    refuse(folder, [file_with(folder, bytes(pe))], "truncated", "headers name more")
    for at in (0x3c, 0x3f, 0x46, 0x54):
        for value in (0, 0x41, 0xff):
            damaged = bytearray(pe)
            damaged[at] = value
            check_survives(folder, file_with(folder, bytes(damaged)))


@case("gzip files that are damaged, cut off, empty or unpack to too much")
def _(folder):
    whole = gzip.compress(image(MIB) + random.Random(1).randbytes(10000))
    for size in (2, 10, 17, 18, 30, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        refuse(folder, [file_with(folder, whole[:size])], "gzip")
    for at in (2, 3, len(whole) // 2, len(whole) - 8, len(whole) - 4):
        damaged = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:]
        refuse(folder, [file_with(folder, damaged)], "gzip")
    refuse(folder, [file_with(folder, gzip.compress(b""))], "not a RISC-V kernel|empty|gzip")
    refuse(folder, [file_with(folder, gzip.compress(b"text" * 100))], "not a RISC-V kernel")


@case("a gzip bomb costs no more than the guest's memory")
def _(folder):
    path = folder / "bomb"
    with gzip.open(path, "wb", 9) as file:
        for _ in range(300):
            file.write(bytes(MIB))
    before = listing(folder)
    with open(folder.parent / f"{folder.name}.errors", "w+b") as errors:
        tap.at_end(lambda: os.unlink(errors.name))
        process = subprocess.Popen([str(tap.options.doppel), "boot", "--memory", "64M", str(path)],
                                   stdin=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        check_in(b"more than the guest's memory", errors.read(), "message")
    check_equal(process.returncode, 2, "status")
    check(usage.ru_maxrss * 1024 < 256 * MIB or tap.is_sanitized(), f"{usage.ru_maxrss} KiB")
    check_equal(listing(folder), before, "files")


# ---- what goes with the kernel ----

@case("initrds that are missing, empty, a directory, too large, or without a kernel")
def _(folder):
    kernel = file_with(folder, image(), "kernel")
    refuse(folder, ["--initrd", folder / "missing", kernel], "cannot open initrd", "missing")
    refuse(folder, ["--initrd", file_with(folder, b""), kernel], "initrd", "empty")
    refuse(folder, ["--initrd", folder, kernel], "initrd", "is a directory")
    large = file_with(folder, b"", "large")
    os.truncate(large, 40 * MIB)
    refuse(folder, ["--memory", "32M", "--initrd", large, kernel], "initrd", "40 MiB", "32 MiB",
           "--memory")
    refuse(folder, ["--memory", "41M", "--initrd", large, kernel], "--memory")
    os.truncate(large, 5 << 30)
    refuse(folder, ["--initrd", large, kernel], "initrd", "too large")
    refuse(folder, ["--initrd", large], "--initrd needs a --kernel|nothing to boot")


@case("device trees that are missing, empty, cut off or damaged")
def _(folder):
    kernel = file_with(folder, image(), "kernel")
    refuse(folder, ["--dtb", folder / "missing", kernel], "device tree", "missing")
    refuse(folder, ["--dtb", file_with(folder, b""), kernel], "device tree", "empty")
    for data in (b"text", b"\xd0\x0d\xfe\xed", random.Random(2).randbytes(4096),
                 struct.pack(">10I", 0xd00dfeed, 4096, 56, 100, 40, 17, 16, 0, 100, 40),
                 struct.pack(">10I", 0xd00dfeed, 0xffffffff, 0xfffffff0, 0xfffffff0, 40, 17, 16, 0,
                             0xffffffff, 0xffffffff).ljust(4096, b"\0")):
        refuse(folder, ["--dtb", file_with(folder, data), kernel], "device tree", "not a valid")


@case("firmware that is missing, empty, too large, or lies over the kernel")
def _(folder):
    kernel = file_with(folder, image(), "kernel")
    refuse(folder, ["--firmware", folder / "missing", kernel], "firmware", "missing")
    refuse(folder, ["--firmware", file_with(folder, b""), kernel], "firmware", "empty")
    refuse(folder, ["--firmware", file_with(folder, bytes(3 * MIB)), kernel], "over", "--memory")
    refuse(folder, ["--memory", "4M", "--firmware", file_with(folder, bytes(5 * MIB))], "--memory")


# ---- disks ----

@case("disks that are missing, empty, a directory, locked or of another format")
def _(folder):
    guest = guest_file(folder)
    refuse(folder, ["--disk", folder / "missing", guest], "disk image", "missing", "No such file")
    refuse(folder, ["--disk", f"{folder}/missing,snapshot", guest], "disk image", "missing")
    refuse(folder, ["--disk", file_with(folder, b"", "disk"), guest], "empty", "truncate")
    refuse(folder, ["--disk", folder, guest], "is a directory")
    refuse(folder, ["--disk", "/dev/null", guest], "neither a file nor a block device")
    qcow2 = file_with(folder, b"QFI\xfb\0\0\0\3".ljust(MIB, b"\0"), "disk")
    refuse(folder, ["--disk", qcow2, guest], "impossible size")
    refuse(folder, ["--disk", f"{qcow2},format=qcow2,readonly", guest], "impossible size")
    refuse(folder, ["--disk", f"{qcow2},format=overlay", guest], "no overlay")
    vmdk = file_with(folder, b"KDMV".ljust(MIB, b"\0"), "vmdk")
    refuse(folder, ["--disk", vmdk, guest], "VMDK", "format=raw")
    overlay = file_with(folder, b"DPLOVL\r\n".ljust(MIB, b"\0"), "overlay")
    refuse(folder, ["--disk", overlay, guest], "version 0")
    refuse(folder, ["--disk", f"{qcow2},format=vhdx", guest], "format")
    refuse(folder, ["--disk", f"{qcow2},colour=red", guest], "colour=red", "readonly")
    refuse(folder, ["--disk", "", guest], "--disk", "file")
    refuse(folder, ["--disk", ",readonly", guest], "--disk", "file")
    plain = file_with(folder, bytes(MIB), "plain")
    refuse(folder, ["--disk", plain, "--disk", plain, guest], "in use")
    refuse(folder, ["--disk", f"{plain},readonly", "--disk", plain, guest], "in use")
    words = [word for _ in range(17) for word in ("--disk", f"{plain},readonly")]
    refuse(folder, [*words, guest], "--disk", "at most 16")
    words = [word for _ in range(9) for word in ("--disk", f"{plain},readonly,bus=mmio")]
    refuse(folder, [*words, guest], "--disk", "bus=pci")


# ---- options ----

@case("numbers and sizes that are none, too small or too large")
def _(folder):
    guest = guest_file(folder)
    for value in ("0", "65", "-1", "x", "", "1x", "1.5", "0x100000001", "99999999999999999999",
                  " 1"):
        refuse(folder, ["--cpus", value, guest], "--cpus", "from 1 to 64")
    for value in ("0", "1K", "99999999G", "5000001", "abc", "", "-1", "1T1", "16777217T",
                  "18446744073709551615", "18446744073709551616", "1.5G", "G"):
        refuse(folder, ["--memory", value, guest], "--memory", re.escape(f"'{value}'"))
    refuse(folder, ["--seed", "x", guest], "--seed", "number")
    refuse(folder, ["--seed", "-1", guest], "--seed", "number")


@case("words that are not among those wanted")
def _(folder):
    guest = guest_file(folder)
    refuse(folder, ["--engine", "warp", guest], "--engine", "auto")
    refuse(folder, ["--net", "cable", guest], "--net", "none")
    refuse(folder, ["--stats=xml", guest], "--stats", "json")
    refuse(folder, ["--log", "loud", guest], "--log", "error, warn, info")
    refuse(folder, ["--log", "blk=loud", guest], "--log", "error, warn, info")
    for value in ("rv32gc", "x86", "rv64", "rv64gc,+nonsense", "max,-", "sv39,sv99"):
        refuse(folder, ["--cpu", value, guest], "--cpu")
    for value in ("", "file:", "unix:", "tcp:1", "stdio ", "nowhere"):
        refuse(folder, ["--serial", value, guest], "--serial", "stdio, none, pty")
        refuse(folder, ["--console", value, guest], "--console", "stdio, none, pty")


@case("unknown options, missing values, values too many, options given twice")
def _(folder):
    guest = guest_file(folder)
    for word in ("--nonsense", "-x", "--Cpus", "--memory-size", "-cpus", "-SS", "---"):
        refuse(folder, [word, guest], "unknown option", re.escape(word), "--help")
    refuse(folder, ["--nonsense=5", guest], "unknown option '--nonsense'")
    for option in ("cpus", "memory", "kernel", "initrd", "append", "disk", "serial", "gdb",
                   "signature", "log", "seed", "name", "net", "engine", "cpu", "dtb", "firmware"):
        refuse(folder, ["--serial", "none", f"--{option}"], f"--{option}", "wants|twice")
    for option in ("icount", "no-reboot", "snapshot", "paused"):
        refuse(folder, [f"--{option}=1", guest], f"--{option}", "no value")
    for words in (["--cpus", "1"], ["--memory", "1G"], ["--append", "x"], ["--name", "x"],
                  ["--icount"], ["--snapshot"], ["--seed", "1"], ["--stats"]):
        refuse(folder, [*words, *words, guest], words[0], "twice")
    refuse(folder, ["--kernel", guest, "--kernel", guest], "--kernel", "twice")


@case("options that contradict each other")
def _(folder):
    guest = guest_file(folder)
    refuse(folder, ["--icount", "--cpus", "2", guest], "--icount", "--cpus 1")
    refuse(folder, ["--serial", "stdio", "--console", "stdio", guest], "--serial", "--console",
           "stdio")
    refuse(folder, ["--append", "a", guest, "--", "b"], "--append", "--")
    refuse(folder, ["--firmware", "none"], "nothing to boot")
    refuse(folder, ["--firmware", "builtin"], "nothing to boot")
    refuse(folder, [], "nothing to boot")
    refuse(folder, ["--initrd", guest, "--firmware", guest], "--initrd needs a --kernel")
    refuse(folder, [guest, guest], "kernel already")
    refuse(folder, ["--kernel", guest, guest], "kernel already")
    refuse(folder, [guest, "--kernel", guest], "kernel already|twice")
    refuse(folder, ["--append", "x" * 2000, guest], "--append", "1900")
    refuse(folder, [guest, "--", "x" * 2000], "--", "too long|1900")


@case("sockets: paths too long or in use, folders missing, ports in use, bad addresses")
def _(folder):
    guest = guest_file(folder)
    long_path = folder / ("x" * 110)
    taken = folder / "taken"
    for option, what in (("--serial", "serial"), ("--console", "console"), ("--gdb", "--gdb")):
        other = ["--serial", "none"] if option != "--serial" else []
        refuse(folder, [*other, option, f"unix:{long_path}", guest], "too long")
        refuse(folder, [*other, option, f"unix:{folder}/missing/socket", guest], what,
               "No such file", "missing/socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(taken))
            listener.listen()
            refuse(folder, [*other, option, f"unix:{taken}", guest], what, "in use")
        taken.unlink()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refuse(folder, ["--gdb", f"tcp:127.0.0.1:{port}", guest], "--gdb", str(port), "in use")
    for value in ("", "tcp:", "tcp:1", "tcp:127.0.0.1:", "tcp:127.0.0.1:x", "tcp:127.0.0.1:65536",
                  "tcp:localhost:1", "tcp:300.0.0.1:1", "1234", "unix:", "tcp:" + "1" * 100 + ":1"):
        refuse(folder, ["--gdb", value, guest], "--gdb")


@case("a stream that cannot be opened leaves the other one's file as it was")
def _(folder):
    guest = guest_file(folder)
    kept = file_with(folder, b"precious", "kept")
    bad = f"file:{folder}/missing/file"
    refuse(folder, ["--serial", bad, guest], "serial", "missing/file")
    refuse(folder, ["--serial", bad, "--console", f"file:{folder}/new", guest], "serial")
    refuse(folder, ["--serial", bad, "--console", f"file:{kept}", guest], "serial")
    refuse(folder, ["--serial", bad, "--console", f"unix:{folder}/socket", guest], "serial")
    refuse(folder, ["--serial", bad, "--gdb", f"unix:{folder}/socket", guest], "serial")
    refuse(folder, ["--serial", f"file:{kept}", "--disk", folder / "missing", guest], "disk")
    refuse(folder, ["--serial", f"file:{folder}", guest], "serial", "directory")


@case("--signature that cannot be written ends with status 125 and one line")
def _(folder):
    program = """
        start:
            li   t0, 0x100000
            li   t1, 0x5555
            sw   t1, 0(t0)
        stay: j stay
        .align 8
        begin_signature: .word 1
        end_signature: .word 2
        """
    guest = file_with(folder, elf(program), "guest.elf")
    refuse(folder, ["--serial", "none", "--signature", folder / "missing/file", guest],
           "cannot write", "missing/file", status=125)
    refuse(folder, ["--serial", "none", "--signature", folder, guest], "cannot write", "directory",
           status=125)
    before = os.stat("/dev/full").st_mode
    refuse(folder, ["--serial", "none", "--signature", "/dev/full", guest], "cannot write",
           "No space", status=125)
    check_equal(os.stat("/dev/full").st_mode, before, "mode of /dev/full")


@case("the words before 'boot' and its --help")
def _(folder):
    def run(*words):
        return subprocess.run([str(tap.options.doppel), *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)

    for words in ((), ("bot",), ("",)):
        result = run(*words)
        check_equal(result.returncode, 2, f"status of {words}")
        check(re.fullmatch(r"doppel: [^\n]+\n", result.stderr), result.stderr)
    for words in (("help",), ("--help",), ("boot", "--help"), ("boot", "-h"), ("version",),
                  ("--version",), ("boot", "--cpus", "2", "--help")):
        result = run(*words)
        check_equal(result.returncode, 0, f"status of {words}")
        check_equal(result.stderr, "", f"standard error of {words}")
        check(result.stdout, f"no output of {words}")
    options = set(re.findall(r"^  --([a-z-]+)", run("boot", "--help").stdout, re.M))
    check({"kernel", "cpus", "memory", "disk", "gdb", "serial"} <= options, f"options: {options}")


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
