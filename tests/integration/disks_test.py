#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks of machines: overlays that survive being killed, full and broken hosts, limits,
formats, and `doppel image`.

    disks_test.py DOPPEL [--long] [--only REGEX]
"""
import json
import os
import random
import re
import signal
import subprocess
import time

import guests
import tap
from machines import Control
from process import Doppel
from tap import case, check, check_equal, check_in

BOOT_S = 120
MIB = 1 << 20
ROUNDS, ROUNDS_LONG = 5, 200
MODULES = "virtio_blk,crc32c_generic,ext4"


def need(*programs):
    for name in programs:
        if not guests.has_program(name):
            raise tap.Skip(f"{name} is missing")


def image(*words, status=0):
    """`doppel image WORDS`; returns what it prints, or its one line of error."""
    result = subprocess.run([str(tap.options.doppel), "image", *map(str, words)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                            timeout=120)
    check_equal(result.returncode, status, f"status of {words} ({result.stderr!r})")
    if status == 0:
        check_equal(result.stderr, "", f"errors of {words}")
        return result.stdout
    check_equal(len(result.stderr.splitlines()), 1, f"lines of {result.stderr!r}")
    check(result.stderr.startswith("doppel image: "), result.stderr)
    return result.stderr


def make_ext4(path, size):
    need("mke2fs")
    with open(path, "wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(path)], check=True,
                   stdout=subprocess.DEVNULL)


def guest(command, *arguments, **extra):
    """Runs a shell command as all that the guest does."""
    return Doppel("--kernel", guests.kernel(), "--initrd", guests.initramfs(MODULES, command),
                  *arguments, terminal=False, **extra)


def lines_of(machine):
    return bytes(machine.output).decode(errors="replace").replace("\r", "").splitlines()


# ---- killed at any moment ----

# Each file is on stable storage before its name is printed.
WRITER = """
round=$(tr ' ' '\\n' </proc/cmdline | sed -n 's/^round=//p')
mkdir /mnt
mount -t ext4 /dev/vda /mnt || exit 2
rm -f /mnt/[0-9]*
n=0
while true; do
    n=$((n + 1))
    yes $round.$n | head -c 20000 | dd of=/mnt/$round.$n conv=fsync 2>/dev/null || exit 3
    echo "flushed $round.$n."
    rm -f /mnt/$round.$((n - 20))
done
"""


def check_files(disk, folder, names):
    """As the host sees them, once the journal is replayed."""
    raw = folder / "raw"
    raw.unlink(missing_ok=True)
    image("convert", disk, raw)
    subprocess.run(["e2fsck", "-E", "journal_only", "-p", str(raw)], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    result = subprocess.run(["e2fsck", "-f", "-n", str(raw)], capture_output=True, text=True,
                            check=False)
    check_equal(result.returncode, 0, f"e2fsck ({result.stdout} {result.stderr})")
    for name in names:
        found = subprocess.run(["debugfs", "-R", f"cat /{name}", str(raw)], capture_output=True,
                               check=True).stdout
        wanted = (f"{name}\n".encode() * 20000)[:20000]
        check(found == wanted, f"{name} was flushed, and has {len(found)} bytes: {found[:50]!r}")


def kill_while_writing(disk, folder, number, seed):
    chance = random.Random(seed)
    machine = guest(WRITER, "--append", f"loglevel=4 round={number}", "--disk", disk)
    machine.expect(rf"flushed {number}\.1\.", BOOT_S)
    end = time.monotonic() + chance.uniform(0, 1.5)
    while time.monotonic() < end:
        machine.read(0.01)
    machine.kill(signal.SIGKILL)
    machine.process.wait()
    while machine.read(0.1):
        pass
    names = re.findall(rf"flushed ({number}\.\d+)\.", "\n".join(lines_of(machine)))
    check_files(disk, folder, names[-10:])
    return len(names)


@case("kill -9 while the guest writes: what it flushed is there, fsck is clean, the overlay opens",
      limit_s=300)
def _(folder):
    need("e2fsck", "debugfs")
    make_ext4(folder / "base", 64 * MIB)
    before = (folder / "base").read_bytes()
    disk = folder / "disk"
    image("create", disk, "--base", folder / "base")
    seed = int.from_bytes(os.urandom(4), "little")
    tap.comment(f"seed {seed}")
    rounds = ROUNDS_LONG if tap.options.long else ROUNDS
    flushed = sum(kill_while_writing(disk, folder, number, seed + number)
                  for number in range(1, rounds + 1))
    tap.comment(f"{flushed} files were flushed in {rounds} rounds")
    image("check", disk)
    check_equal(json.loads(image("info", disk, "-o", "json"))["clean"], False, "closed in order")
    check(before == (folder / "base").read_bytes(), "the base was written to")


# ---- a full host ----

FILL = """
dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' x >/tmp/data
i=0
while [ $i -lt 20 ]; do
    dd if=/tmp/data of=/dev/vda bs=64k seek=$((i * 64)) oflag=direct conv=notrunc 2>/tmp/error ||
        { echo "failed at $i"; break; }
    i=$((i + 1))
done
read go
dd if=/tmp/data of=/dev/vda bs=64k seek=$((i * 64)) oflag=direct conv=notrunc,fsync &&
    echo "went on"
i=$((i - 1))
dd if=/dev/vda bs=64k skip=$((i * 64)) count=64 iflag=direct 2>/dev/null | cmp - /tmp/data &&
    echo "kept"
"""


def full_host(folder, command, *arguments, form="overlay"):
    """A machine whose first disk lies where only 24 MB are left, and 8 MB more once `folder`/go exists. The folder that the
    disk is in is seen by the machine alone."""
    words = ["unshare", "-U", "-r", "-m", "true"]
    if not guests.has_program("unshare") or subprocess.run(words, check=False,
                                                           stderr=subprocess.DEVNULL).returncode:
        raise tap.Skip("no user namespaces")
    small = folder / "small"
    small.mkdir()
    script = folder / "doppel"
    script.write_text(f"""#!/bin/sh
exec unshare -U -r -m sh -c '
    mount -t tmpfs -o size=32M none {small} || exit 9
    {tap.options.doppel} image create {small}/disk 128M --format {form} || exit 9
    dd if=/dev/zero of={small}/ballast bs=1M count=8 2>/dev/null
    (while [ ! -e {folder}/go ]; do sleep 0.1; [ -d {folder} ] || exit; done
     rm {small}/ballast; touch {folder}/gone) </dev/null >/dev/null 2>&1 &
    exec {tap.options.doppel} "$@"' doppel "$@"
""")
    script.chmod(0o755)
    real, tap.options.doppel = tap.options.doppel, script
    try:
        return guest(command, "--append", "loglevel=1", *arguments, stdin=subprocess.PIPE)
    finally:
        tap.options.doppel = real


def make_room(folder):
    (folder / "go").touch()
    tap.wait_until((folder / "gone").exists, 10, "room")


@case("ENOSPC reaches the guest as an I/O error, loses nothing, and writing goes on with room",
      limit_s=180)
def _(folder):
    machine = full_host(folder, FILL, "--disk", folder / "small/disk")
    match = machine.expect(r"failed at (\d+)", BOOT_S)
    check(2 <= int(match.group(1)) < 8, f"the host was full at {match.group(1)}")
    make_room(folder)
    machine.send("\n")
    machine.expect("went on")
    machine.expect("kept")
    machine.check_exit(0, BOOT_S)


# ---- errors that stop the machine ----

# 28 MiB of the first disk, more than the host has room for at first; and something of the second.
STOPPED = """
dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' x >/tmp/data
i=0
while [ $i -lt 7 ]; do
    dd if=/tmp/data of=/dev/vda bs=64k seek=$((i * 64)) oflag=direct conv=notrunc 2>/dev/null ||
        echo "failed at $i"
    dd if=/tmp/data of=/dev/vdb bs=64k seek=0 count=1 oflag=direct conv=notrunc 2>/dev/null
    i=$((i + 1))
done
dd if=/dev/null of=/dev/vda conv=notrunc,fsync || echo "no flush"
while [ $i -gt 0 ]; do
    i=$((i - 1))
    dd if=/dev/vda bs=64k skip=$((i * 64)) count=64 iflag=direct 2>/dev/null | cmp - /tmp/data ||
        echo "lost $i"
done
echo finished
"""


def stop_for_space(folder, *arguments, command=STOPPED, **extra):
    """A machine that has stopped as its host is full, and its control socket."""
    (folder / "second").write_bytes(bytes(MIB))
    machine = full_host(folder, command, "--disk", f"{folder}/small/disk", "--disk",
                        f"{folder}/second,format=raw", "--qmp", f"unix:{folder}/qmp", *arguments,
                        **extra)
    tap.wait_for_listener(folder / "qmp", BOOT_S)
    monitor = Control(folder / "qmp")
    wait_for_status(monitor, "io-error")
    return machine, monitor


def wait_for_status(monitor, word):
    tap.wait_until(lambda: monitor.call("query-status")["status"] == word, BOOT_S, word)


def blockstats(monitor):
    return {disk["device"]: disk["stats"] for disk in monitor.call("query-blockstats")}


@case("a full host stops the machine, which loses nothing when it goes on", limit_s=240)
def _(folder):
    machine, monitor = stop_for_space(folder)
    check_equal(monitor.events[-2:], ["BLOCK_IO_ERROR", "STOP"], "events")
    check_equal(monitor.call("query-status")["running"], False, "running")
    check_in("No space left", machine.errors(), "warning")
    stats = blockstats(monitor)
    failed = stats["disk0"]["failed_wr_operations"]
    check(failed >= 1, "failures of the first disk")
    check_equal(stats["disk1"]["failed_wr_operations"], 0, "failures of the second disk")
    check(16 * MIB < stats["disk0"]["wr_bytes"] < 28 * MIB, f"written before: {stats['disk0']}")

    # Without room it stops again, having lost nothing.
    monitor.call("cont")
    tap.wait_until(lambda: blockstats(monitor)["disk0"]["failed_wr_operations"] > failed, 10,
                   "another failure")
    wait_for_status(monitor, "io-error")
    monitor.call("cont")
    wait_for_status(monitor, "io-error")
    make_room(folder)
    monitor.call("cont")
    machine.expect("finished", BOOT_S)
    stats = blockstats(monitor)
    check_equal(stats["disk0"]["wr_bytes"], 28 * MIB, "written in all")
    check_equal(stats["disk1"]["wr_bytes"], 7 * 65536, "written to the second")
    check(stats["disk0"]["wr_total_time_ns"] > 0 and stats["disk0"]["flush_operations"] >= 1,
          f"figures {stats}")
    machine.check_exit(0, BOOT_S)
    for word in ("failed", "lost", "no flush"):
        check(word not in "\n".join(lines_of(machine)), f"the guest saw it: {lines_of(machine)}")


@case("a full host stops a machine on virtual time", limit_s=240)
def _(folder):
    machine, monitor = stop_for_space(folder, "--icount")
    monitor.call("cont")
    wait_for_status(monitor, "io-error")
    make_room(folder)
    monitor.call("cont")
    machine.expect("finished", BOOT_S)
    machine.check_exit(0, BOOT_S)
    for word in ("failed", "lost", "no flush"):
        check(word not in "\n".join(lines_of(machine)), f"the guest saw it: {lines_of(machine)}")


@case("a machine that a full host has stopped can be reset, and ended", limit_s=240)
def _(folder):
    machine, monitor = stop_for_space(folder)
    monitor.call("system_reset")
    check_equal(monitor.call("query-status")["status"], "prelaunch", "status after the reset")
    check(blockstats(monitor)["disk0"]["failed_wr_operations"] >= 1, "failures are forgotten")
    monitor.call("cont")
    wait_for_status(monitor, "io-error")
    monitor.call("quit")
    machine.check_exit(0, 20)


@case("by rerror=stop a read that fails stops the machine; words that make no sense", limit_s=180)
def _(folder):
    disk = folder / "disk"
    disk.write_bytes(b"x" * 8 * MIB)
    machine = guest("echo up; sleep 3; dd if=/dev/vda bs=1M skip=4 count=1 iflag=direct | tr -d x | "
                    "wc -c; echo done", "--disk", f"{disk},format=raw,rerror=stop,werror=report",
                    "--qmp", f"unix:{folder}/qmp")
    machine.expect("up", BOOT_S)
    monitor = Control(folder / "qmp")
    os.truncate(disk, MIB)
    wait_for_status(monitor, "io-error")
    with open(disk, "r+b") as file:
        file.seek(MIB)
        file.write(b"x" * 7 * MIB)
    monitor.call("cont")
    machine.expect("done", BOOT_S)
    check("error" not in "\n".join(lines_of(machine)), f"the guest saw it: {lines_of(machine)}")
    machine.check_exit(0, BOOT_S)
    for words, text in (("werror=ignore", "werror=report"), ("rerror=enospc", "rerror=report"),
                        ("werror=stop", "needs --qmp"), ("rerror=stop", "needs --qmp")):
        machine = guest("", "--disk", f"{disk},format=raw,{words}")
        check_equal(machine.wait(), 2, f"status of {words}")
        check_in(text, machine.errors(), "error")


# ---- images that change under us ----

@case("an image that is truncated while the machine runs is an I/O error for the guest",
      limit_s=120)
def _(folder):
    disk = folder / "disk"
    disk.write_bytes(b"x" * 8 * MIB)
    machine = guest("dd if=/dev/vda bs=1M count=1 iflag=direct 2>/dev/null | wc -c; echo first; "
                    "read go; dd if=/dev/vda bs=1M skip=6 count=1 iflag=direct 2>/dev/null || "
                    "echo failed; dd if=/dev/vda bs=1M count=1 iflag=direct 2>/dev/null | wc -c",
                    "--append", "loglevel=1", "--disk", disk, stdin=subprocess.PIPE)
    machine.expect("1048576\r*\nfirst", BOOT_S)
    os.truncate(disk, 4 * MIB)
    machine.send("\n")
    machine.expect("failed")
    machine.expect("1048576")
    machine.check_exit(0, BOOT_S)


@case("a second machine on an overlay or its base is refused, and told who has it", limit_s=120)
def _(folder):
    (folder / "base").write_bytes(bytes(MIB))
    image("create", folder / "disk", "--base", folder / "base")
    first = guest("sleep 60", "--disk", folder / "disk")
    first.expect("guest is ready", BOOT_S)
    second = guest("true", "--disk", folder / "disk")
    second.check_exit(2)
    check_in(f"process {first.pid} (doppel)", second.errors(), "message")
    second = guest("true", "--disk", folder / "base")
    second.check_exit(2)
    check_in(f"process {first.pid} (doppel)", second.errors(), "message")
    check_in("in use", image("convert", folder / "disk", folder / "new", status=1), "message")
    image("info", folder / "disk")
    first.terminate()


# ---- limits ----

def transfer_seconds(folder, words, command):
    disk = folder / "disk"
    if not disk.exists():
        disk.write_bytes(bytes(64 * MIB))
    machine = guest(f"cat /proc/uptime; {command}; cat /proc/uptime", "--append", "loglevel=1",
                    "--disk", disk, *words)
    machine.check_exit(0, BOOT_S)
    times = [float(line.split()[0]) for line in lines_of(machine)
             if re.fullmatch(r"[\d.]+ [\d.]+", line)]
    check_equal(len(times), 2, f"times in {machine.output[-300:]!r}")
    return times[1] - times[0]


@case("--io-bps and --io-iops hold within 10 %", limit_s=180)
def _(folder):
    took = transfer_seconds(folder, ("--io-bps", "10M"),
                            "dd if=/dev/vda of=/dev/null bs=1M count=25 iflag=direct 2>/dev/null")
    check(2.25 <= took <= 2.75, f"25 MiB at 10 MiB/s took {took} s")
    took = transfer_seconds(folder, ("--io-iops", "500"),
                            "dd if=/dev/vda of=/dev/null bs=4k count=1250 iflag=direct 2>/dev/null")
    check(2.25 <= took <= 2.75, f"1250 reads at 500 a second took {took} s")


@case("limits and virtual time do not go together")
def _(folder):
    (folder / "disk").write_bytes(bytes(MIB))
    machine = guest("true", "--icount", "--io-iops", 5, "--disk", folder / "disk")
    machine.check_exit(2)
    check_in("--icount", machine.errors(), "message")


# ---- formats ----

@case("qcow2 and overlay images are found out; qcow2 needs readonly or snapshot", limit_s=180)
def _(folder):
    plain = folder / "plain"
    plain.write_bytes(b"0123456789abcdef" * 32 + bytes(4 * MIB - 512))
    image("convert", "--format", "qcow2", plain, folder / "q")
    image("create", folder / "o", "--base", folder / "q")
    machine = guest("true", "--disk", folder / "q")
    machine.check_exit(2)
    check_in("readonly or snapshot", machine.errors(), "message")
    machine = guest("for d in a b c; do head -c 16 /dev/vd$d; echo; done; "
                    "echo changed | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null; "
                    "echo changed | dd of=/dev/vdc conv=notrunc,fsync 2>/dev/null",
                    "--append", "loglevel=1", "--disk", f"{plain},readonly",
                    "--disk", f"{folder}/q,snapshot", "--disk", folder / "o")
    machine.check_exit(0, BOOT_S)
    check_equal(lines_of(machine).count("0123456789abcdef"), 3, "disks that were read")
    after = folder / "after"
    for name, wanted in (("q", b"0123456789abcdef"), ("o", b"changed\n89abcdef")):
        image("convert", folder / name, after)
        check_equal(after.read_bytes()[:16], wanted, name)
        after.unlink()


@case("doppel image: create, info, check and convert agree, and say what is wrong in one line")
def _(folder):
    base, disk = folder / "base", folder / "disk"
    base.write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))
    image("create", disk, "16M", "--base", base)
    info = json.loads(image("info", disk, "-o", "json"))
    check_equal({name: info[name] for name in ("format", "size", "clean", "base", "base-format")},
                {"format": "overlay", "size": 16 * MIB, "clean": True, "base": "base",
                 "base-format": "raw"}, "info")
    check_in("overlay, version 1", image("info", disk), "text")
    check_in("no faults", image("check", disk), "check")
    image("convert", "--format", "qcow2", disk, folder / "q")
    image("convert", folder / "q", folder / "r")
    check_equal((folder / "r").read_bytes(), base.read_bytes() + bytes(8 * MIB), "converted")
    check((folder / "r").stat().st_blocks * 512 < 4 * MIB, "zeroes take room")
    image("create", folder / "plain", "10M")
    check_equal((folder / "plain").stat().st_size, 10 * MIB, "size")

    check_in("exists already", image("create", disk, "1M", status=1), "message")
    check_in("exists already", image("convert", base, disk, status=1), "message")
    check_in("a size is wanted", image("create", folder / "x", status=2), "message")
    check_in("'10X'", image("create", folder / "x", "10X", status=2), "message")
    check_in("multiple of 512", image("create", folder / "x", "513", status=2), "message")
    check_in("smaller than its base", image("create", folder / "x", "1M", "--base", base,
                                            status=2), "message")
    check_in("No such file", image("info", folder / "missing", status=1), "message")
    check_in("formats are", image("convert", base, folder / "x", "--format", "vhd", status=2),
             "message")
    check_in("no option --base", image("info", disk, "--base", base, status=2), "message")
    with open(disk, "r+b") as file:
        file.seek(20)
        file.write(b"\1")
    check_in("damaged", image("check", disk, status=2), "message")
    check_in("damaged", image("info", disk, status=2), "message")
    check_equal(sorted(os.listdir(folder)), ["base", "disk", "plain", "q", "r"], "files")


@case("an interrupted conversion leaves nothing behind")
def _(folder):
    with open(folder / "large", "wb") as file:
        file.truncate(1 << 40)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([str(tap.options.doppel), "image", "convert", "--format", "qcow2",
                                    str(folder / "large"), str(folder / "new")],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        check(process.returncode != 0, "it went on")
        check(number == signal.SIGKILL or "nothing was written" in errors, errors)
        check_equal(os.listdir(folder), ["large"], "files")


if __name__ == "__main__":
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])
