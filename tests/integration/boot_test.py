#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots what users boot: Debian's kernel and installer, OpenSBI, U-Boot, and
bare-metal programs, and uses them as a person would.

    boot_test.py DOPPEL [--long] [--only REGEX]
"""
import gzip
import json
import os
import re
import select
import shutil
import socket
import time

import guests
import tap
from assembler import elf
from process import Doppel
from tap import case, check, check_equal, check_in

BOOT_S = 120
READY = "doppel: guest is ready"
MIB = 1 << 20


def debian(*arguments, modules="", **extra):
    """Debian's kernel with busybox, waiting for its shell prompt."""
    machine = Doppel("--kernel", guests.kernel(), "--initrd", guests.initramfs(modules),
                     *arguments, **extra)
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    return machine


def power_off(machine):
    machine.type("poweroff")
    machine.check_exit(0, BOOT_S)
    check_in(b"reboot: Power down", bytes(machine.output), "output")
    check_equal(machine.errors(), "", "standard error")


# ---- Debian ----

@case("Debian boots to a shell that answers, knows the time, and powers off", limit_s=180)
def _(folder):
    machine = debian()
    check_equal(machine.run("uname -m").strip(), "riscv64", "uname -m")
    check_equal(machine.run("nproc").strip(), "1", "nproc")
    check_equal(machine.run("cat /proc/sys/kernel/hostname").strip(), "doppel", "host name")
    guest_time = int(machine.run("date +%s").strip())
    check(abs(guest_time - time.time()) < 5, f"the guest's time is {guest_time}")
    machine.type("sleep 600")
    time.sleep(0.3)
    machine.send("\x03")  # must reach the guest, not end us
    machine.expect("# ")
    power_off(machine)


@case("four harts under OpenSBI's fw_dynamic.bin; reboot boots again", limit_s=240)
def _(folder):
    machine = debian("--cpus", 4, "--firmware", guests.opensbi("fw_dynamic.bin"))
    check_in(b"OpenSBI v", bytes(machine.output), "output")
    check_equal(machine.run("nproc").strip(), "4", "nproc")
    machine.run("for i in 1 2 3 4 5 6 7 8; do "
                "(head -c 200000 /dev/zero | md5sum >/tmp/$i) & done; wait")
    check_equal(machine.run("cat /tmp/[1-8] | sort -u | wc -l").strip(), "1", "different sums")
    machine.type("reboot")
    machine.expect("OpenSBI v", BOOT_S)
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    power_off(machine)


@case("--no-reboot ends with status 0 at a reboot; four harts, gzip'd kernel, sv48", limit_s=180)
def _(folder):
    packed = folder / "kernel.gz"
    packed.write_bytes(gzip.compress(guests.kernel().read_bytes(), 1))
    machine = Doppel("--kernel", packed, "--initrd", guests.initramfs(), "--no-reboot",
                     "--cpus", 4, "--cpu", "max,sv48")
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    check_in("sv48", machine.run("grep mmu /proc/cpuinfo"), "cpuinfo")
    check_equal(machine.run("nproc").strip(), "4", "nproc")
    machine.type("reboot")
    machine.check_exit(0, BOOT_S)


@case("reboot boots a gzip'd kernel and an initrd that were deleted, and keeps neither in memory",
      limit_s=240)
def _(folder):
    packed = folder / "kernel.gz"
    packed.write_bytes(gzip.compress(guests.kernel().read_bytes(), 1))
    initrd = folder / "initrd"
    initrd.write_bytes(guests.initramfs().read_bytes() + bytes(100 * MIB))
    machine = Doppel("--kernel", packed, "--initrd", initrd, "--memory", "512M")
    for reboots in range(3):
        machine.expect(READY, BOOT_S)
        machine.expect("# ")
        # 100 of the initrd, which the guest frees but nobody takes back, and some 100 more.
        check(machine.memory() < 260 * MIB,
              f"after {reboots} reboots {machine.memory() / MIB} MiB are resident")
        if reboots == 0:
            packed.unlink()
            initrd.unlink()
        if reboots < 2:
            machine.type("reboot")
    power_off(machine)


@case("fw_jump.bin hands over to the kernel, with sv57", limit_s=180)
def _(folder):
    machine = debian("--firmware", guests.opensbi("fw_jump.bin"), "--cpu", "max,sv57")
    check_in("sv57", machine.run("grep mmu /proc/cpuinfo"), "cpuinfo")
    power_off(machine)


@case("fw_dynamic.elf hands over to the kernel, on a plain rv64gc", limit_s=180)
def _(folder):
    machine = debian("--firmware", guests.opensbi("fw_dynamic.elf"), "--cpu", "rv64gc")
    isa = re.search(r"isa\s*: (\S+)", machine.run("cat /proc/cpuinfo")).group(1)
    check(isa.startswith("rv64imafdc"), isa)
    check(not re.search(r"_zb|_v|sstc", isa), f"extensions that were not asked for: {isa}")
    power_off(machine)


@case("arguments behind -- and --append reach the kernel", limit_s=240, long=True)
def _(folder):
    machine = debian("--append", "doppel.word=7")
    check_in("doppel.word=7", machine.run("cat /proc/cmdline"), "command line")
    power_off(machine)
    machine = Doppel("--initrd", guests.initramfs(), guests.kernel(), "--", "one", "two=2")
    machine.expect(READY, BOOT_S)
    machine.expect("# ")
    check_in("one two=2", machine.run("cat /proc/cmdline"), "command line")
    power_off(machine)


@case("64 harts and 8 GiB boot", limit_s=300, long=True)
def _(folder):
    machine = debian("--cpus", 64, "--memory", "8G")
    check_equal(machine.run("nproc").strip(), "64", "nproc")
    power_off(machine)


@case("96 MiB of memory are enough for the kernel to look for its root", limit_s=120, long=True)
def _(folder):
    machine = Doppel("--kernel", guests.kernel(), "--memory", "96M", "--append", "panic=-1",
                     "--no-reboot")
    machine.expect("Kernel panic", BOOT_S)
    machine.check_exit(0)


@case("--icount: runs print the same and execute the same, under either engine", limit_s=300)
def _(folder):
    command = """
        cat /proc/interrupts; head -c 16 /dev/urandom | xxd; date
        dd if=/dev/urandom of=/dev/vda bs=64k count=16 2>/dev/null; sync
        echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/vda; cat /proc/interrupts"""
    initrd = guests.initramfs("virtio_blk,virtio_pci", command)
    disk = folder / "disk"
    disk.write_bytes(bytes(MIB))
    runs = []
    for engine in ("auto", "auto", "interp"):
        machine = Doppel("--kernel", guests.kernel(), "--initrd", initrd, "--icount", "--engine",
                         engine, "--disk", f"{disk},snapshot", "--stats=json", terminal=False)
        machine.check_exit(0, BOOT_S)
        check_in(b"doppel: exit 0", bytes(machine.output), "output")
        runs.append((bytes(machine.output), json.loads(machine.errors())["instructions"]))
    for text, instructions in runs[1:]:
        pairs = zip(runs[0][0].split(b"\n"), text.split(b"\n"))
        differing = [pair for pair in pairs if pair[0] != pair[1]]
        check(not differing, f"first different lines: {differing[:1]}")
        check_equal(text, runs[0][0], "console")
        check_equal(instructions, runs[0][1], "instructions")


# ---- devices under Debian ----

@case("disks, random numbers and a virtio console work in the guest", limit_s=180)
def _(folder):
    disks = [folder / name for name in ("plain", "readonly", "forgetful", "mmio")]
    for disk in disks:
        disk.write_bytes(b"as it was".ljust(512, b"\0") + bytes(4 * MIB - 512))
    machine = debian("--disk", disks[0], "--disk", f"{disks[1]},readonly",
                     "--disk", f"{disks[2]},snapshot", "--disk", f"{disks[3]},bus=mmio",
                     "--console", f"unix:{folder}/console",
                     modules="virtio_blk,virtio_console,virtio_rng,virtio_mmio,virtio_pci")

    check_equal(machine.run("cat /sys/class/misc/hw_random/rng_current").strip(), "virtio_rng.0",
                "source of random numbers")
    sums = machine.run("for i in 1 2; do head -c 64 /dev/hwrng | md5sum; done").split()
    check(sums[0] != sums[2], "the same random numbers twice")

    check_equal(machine.run("ls /dev/vd?").split(), [f"/dev/vd{x}" for x in "abcd"], "disks")
    serials = machine.run("for i in /sys/block/vd?; do cat $i/serial; echo; done").split()
    check_equal(sorted(serials), ["disk0", "disk1", "disk2", "disk3"], "serials")
    name = {serial: f"/dev/vd{letter}" for serial, letter in zip(serials, "abcd")}
    machine.run(f"echo from the guest | dd of={name['disk0']} bs=512 seek=9 conv=notrunc,fsync")
    machine.run(f"echo from the guest | dd of={name['disk3']} bs=512 seek=9 conv=notrunc,fsync")
    machine.run(f"echo from the guest | dd of={name['disk2']} bs=512 seek=9 conv=notrunc,fsync")
    check_in("from the guest", machine.run(f"dd if={name['disk2']} bs=512 skip=9 count=1"),
             "snapshot")
    check_in("as it was", machine.run(f"dd if={name['disk0']} bs=512 count=1"), "disk")
    check_equal(machine.run(f"cat /sys/block/{name['disk1'][5:]}/ro").strip(), "1", "read-only")
    machine.run(f"! echo x 2>/dev/null >{name['disk1']}")

    virtio_console(machine, folder / "console")
    power_off(machine)

    text = b"from the guest\n"
    check_equal(disks[0].read_bytes()[9 * 512:][:len(text)], text, "disk on the host")
    check_equal(disks[3].read_bytes()[9 * 512:][:len(text)], text, "mmio disk on the host")
    for disk in disks[1:3]:
        check_equal(disk.read_bytes(), b"as it was".ljust(4 * MIB, b"\0"), disk.name)
    check(not (folder / "console").exists(), "the console's socket was left behind")


def virtio_console(machine, path):
    with socket.socket(socket.AF_UNIX) as user:
        user.settimeout(20)
        user.connect(str(path))
        machine.run("echo to the host >/dev/hvc0")
        check_in(b"to the host", receive_until(user, b"host"), "console")
        user.sendall(b"to the guest\n")
        check_in("to the guest", machine.run("head -n 1 /dev/hvc0"), "line from the host")
    with socket.socket(socket.AF_UNIX) as user:  # and again
        user.settimeout(20)
        user.connect(str(path))
        machine.run("echo again >/dev/hvc0")
        check_in(b"again", receive_until(user, b"again"), "second user of the console")


def receive_until(user, text):
    received = b""
    while text not in received:
        data = user.recv(4096)
        check(data, f"the connection ended after {received!r}")
        received += data
    return received


# ---- firmware that is the guest ----

@case("U-Boot in M-mode reaches its prompt and answers", limit_s=120)
def _(folder):
    machine = Doppel("--firmware", guests.uboot("qemu-riscv64"))
    uboot_session(machine)


@case("U-Boot in S-mode under OpenSBI reaches its prompt and answers", limit_s=120)
def _(folder):
    machine = Doppel("--firmware", guests.opensbi("fw_dynamic.bin"),
                     "--kernel", guests.uboot("qemu-riscv64_smode"))
    machine.expect("OpenSBI v")
    uboot_session(machine)


def uboot_session(machine):
    machine.expect("Hit any key to stop autoboot")
    machine.send(" ")
    machine.expect("=> ")
    machine.type("version")
    machine.expect(r"\nU-Boot 20\d\d")
    machine.expect("=> ")
    machine.type("poweroff")
    machine.check_exit(0)


@case("Debian's installer shows its first question", limit_s=300)
def _(folder):
    machine = Doppel("--memory", "2G", "--kernel", guests.installer("linux"),
                     "--initrd", guests.installer("initrd.gz"), "--append", "TERM=linux",
                     env=dict(os.environ, TERM="linux"))
    machine.expect("Select a language", 240)
    machine.send("\x1d")
    machine.check_exit(0)


# ---- bare metal ----

SAY = """
say:                    # prints the text at a0
    li   t0, 0x10000000
1a: lbu  t1, 0(a0)
    beqz t1, 2a
    sb   t1, 0(t0)
    addi a0, a0, 1
    j    1a
2a: ret
"""
SAY = SAY.replace("1a", "say_next").replace("2a", "say_end")

FINISH = """
finish:                 # reports a0 to the test finisher
    li   t0, 0x100000
    sw   a0, 0(t0)
stay:
    wfi
    j    stay
"""

HELLO = """
start:
    la   a0, text
    call say
    li   a0, 0x5555
    j    finish
""" + SAY + FINISH + """
text: .ascii "hello, world\\n\\0"
"""

# Sends back what it receives, in brackets.
ECHO = """
start:
    li   t0, 0x10000000
    li   t2, '>'
    sb   t2, 0(t0)
wait:
    lbu  t1, 5(t0)
    andi t1, t1, 1
    beqz t1, wait
    lbu  t1, 0(t0)
    li   t2, '['
    sb   t2, 0(t0)
    sb   t1, 0(t0)
    li   t2, ']'
    sb   t2, 0(t0)
    j    wait
"""

SPIN = "start: j start"


def write_guest(folder, text, name="guest.elf"):
    path = folder / name
    path.write_bytes(elf(text))
    return path


def finisher_status(folder, value):
    guest = write_guest(folder, f"start: li a0, {value}\n j finish\n" + FINISH)
    machine = Doppel(guest, terminal=False)
    status = machine.wait()
    check_equal(machine.errors(), "", "standard error")
    return status


@case("the test finisher decides the exit status")
def _(folder):
    check_equal(finisher_status(folder, 0x5555), 0, "pass")
    for code, status in ((1, 1), (7, 7), (255, 255)):
        check_equal(finisher_status(folder, code << 16 | 0x3333), status, f"fail with {code}")


@case("a failure never looks like success: codes without low bits")
def _(folder):
    check_equal(finisher_status(folder, 0x3333), 1, "fail with 0")
    check_equal(finisher_status(folder, 0x100 << 16 | 0x3333), 1, "fail with 256")
    check(htif_status(folder, 256 << 1 | 1) != 0, "HTIF exit 256 looks like success")


def htif_status(folder, value):
    guest = write_guest(folder, f"""
        start:
            li   t1, {value}
            la   t0, tohost
            sd   t1, 0(t0)
            j    start
            .align 4096
        tohost: .dword 0
        fromhost: .dword 0
        """)
    return Doppel(guest, terminal=False).wait()


# Prints, and resets when a key is pressed.
RESET_ON_KEY = """
start:
    li   t0, 0x10000000
    li   t1, 'r'
    sb   t1, 0(t0)
wait:
    lbu  t1, 5(t0)
    andi t1, t1, 1
    beqz t1, wait
    li   a0, 0x7777
    j    finish
""" + FINISH


@case("a reset boots the same again, also from a file that was deleted or replaced")
def _(folder):
    guest = write_guest(folder, RESET_ON_KEY)
    machine = Doppel(guest)
    for change in (lambda: None, guest.unlink, lambda: guest.write_bytes(b"another file"),
                   lambda: None):
        machine.expect("r")
        change()
        machine.send("x")
    machine.expect("r")
    check(machine.is_alive(), "it ended")
    machine.terminate()


def reset_with(folder, change, *words, touched=None):
    """A reset after `change` of the guest's file, or of `touched`, must end with a line."""
    touched = touched or write_guest(folder, RESET_ON_KEY)
    machine = Doppel(*(words or [touched]), "--memory", "64M")
    machine.expect("r")
    change(touched)
    machine.send("x")
    machine.check_exit(125)
    check(re.fullmatch(rf"doppel boot: cannot read \S+ '{touched}' again: it has changed since "
                       r"the start\n", machine.errors()), f"message {machine.errors()!r}")
    check_equal(bytes(machine.output).count(b"r"), 1, "starts")


def overwrite(path):
    size = path.stat().st_size
    path.write_bytes(b"\xff" * size)


@case("a reset says so when a file has been written to, and ends with status 125")
def _(folder):
    for change in (lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 100),
                   lambda path: path.write_bytes(path.read_bytes() + b"x"), overwrite):
        reset_with(folder, change)
    files = {name: folder / name for name in ("firmware", "kernel", "initrd")}
    for name, file in files.items():
        write_guest(folder, RESET_ON_KEY, "firmware")
        for other in ("kernel", "initrd"):
            files[other].write_bytes(bytes(5 * MIB))
        words = [word for option, path in files.items() for word in (f"--{option}", path)]
        reset_with(folder, overwrite, *words, touched=file)
        if name != "firmware":
            reset_with(folder, lambda path: os.truncate(path, 4096), *words, touched=file)


@case("a reset unpacks a gzip'd kernel again, and notices when it is another")
def _(folder):
    packed = folder / "kernel.gz"
    packed.write_bytes(gzip.compress(elf(RESET_ON_KEY) + os.urandom(300000)))
    time_ns = packed.stat().st_mtime_ns
    size = packed.stat().st_size
    for bad in (b"\x1f\x8b" + bytes(size - 2), packed.read_bytes()[:size - 1] + b"x",
                gzip.compress(elf(RESET_ON_KEY)).ljust(size, b"\0")):
        good = packed.read_bytes()
        machine = Doppel("--firmware", "none", "--kernel", packed, "--memory", "64M")
        for _ in range(2):
            machine.expect("r")
            machine.send("x")
        machine.expect("r")
        packed.write_bytes(bad)
        os.utime(packed, ns=(time_ns, time_ns))
        machine.send("x")
        machine.check_exit(125)
        check_equal(machine.errors(), f"doppel boot: '{packed}' is not the gzip file that it was\n",
                    "message")
        packed.write_bytes(good)
        os.utime(packed, ns=(time_ns, time_ns))


@case("HTIF: tohost decides the exit status")
def _(folder):
    for value, status in ((1, 0), (3, 1), (42 << 1 | 1, 42), (255 << 1 | 1, 255)):
        check_equal(htif_status(folder, value), status, f"tohost {value}")


@case("HTIF: console writes and the write call print")
def _(folder):
    guest = write_guest(folder, """
        start:
            la   t0, tohost
            li   t1, 0x0101000000000000 + 0
            addi t1, t1, 'H'
            sd   t1, 0(t0)
            la   t1, call
            la   t2, text
            sd   t2, 16(t1)
            sd   t1, 0(t0)
            li   t1, 1
            sd   t1, 0(t0)
            j    start
        text: .ascii "i there\\n"
            .align 64
        call: .dword 64, 1, 0, 8
            .align 4096
        tohost: .dword 0
        fromhost: .dword 0
        """.replace(" + 0", ""))
    machine = Doppel(guest, terminal=False)
    machine.check_exit(0)
    check_equal(bytes(machine.output), b"Hi there\n", "output")


@case("--signature writes the words between the two symbols")
def _(folder):
    guest = write_guest(folder, """
        start:
            la   t0, begin_signature
            li   t1, 0x1122334455667788
            sd   t1, 0(t0)
            li   a0, 0x5555
            j    finish
        """ + FINISH + """
            .align 16
        begin_signature: .dword 0
            .word 0xdeadbeef, 5
        end_signature: .word 0x77777777
        """)
    Doppel(guest, "--signature", folder / "signature", terminal=False).check_exit(0)
    check_equal((folder / "signature").read_text(), "55667788\n11223344\ndeadbeef\n00000005\n",
                "signature")
    check_equal(sorted(os.listdir(folder)), ["guest.elf", "signature"], "files")


@case("--signature to a device writes to it and leaves it a device")
def _(folder):
    guest = write_guest(folder, HELLO + """
        .align 8
        begin_signature: .word 1
        end_signature: .word 2
        """)
    device = folder / "sink"
    os.mkfifo(device)
    reader = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    Doppel(guest, "--signature", device, terminal=False).check_exit(0)
    check_equal(os.read(reader, 100), b"00000001\n", "what came out")
    os.close(reader)
    check_equal(sorted(os.listdir(folder)), ["guest.elf", "sink"], "files")


@case("--signature of an ELF without the symbols ends with status 125 and says so")
def _(folder):
    machine = Doppel(write_guest(folder, HELLO), "--signature", folder / "signature",
                     terminal=False)
    machine.check_exit(125)
    check_in("begin_signature", machine.errors(), "message")
    check_equal(os.listdir(folder), ["guest.elf"], "files")


@case("--serial file: gets the output, stdout none")
def _(folder):
    machine = Doppel(write_guest(folder, HELLO), "--serial", f"file:{folder}/log", terminal=False)
    machine.check_exit(0)
    check_equal((folder / "log").read_bytes(), b"hello, world\n", "file")
    check_equal(bytes(machine.output), b"", "standard output")


@case("--serial none prints nothing and ends")
def _(folder):
    machine = Doppel(write_guest(folder, HELLO), "--serial", "none", terminal=False)
    machine.check_exit(0)
    check_equal(bytes(machine.output), b"", "standard output")


@case("--serial pty names a terminal that talks both ways")
def _(folder):
    machine = Doppel(write_guest(folder, ECHO), "--serial", "pty", terminal=False)
    message = tap.wait_until(lambda: re.search(r"serial is at (/dev/pts/\d+)\n", machine.errors()),
                             10, "the name of the terminal")
    for _ in range(2):  # users come and go
        fd = os.open(message.group(1), os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"x")
        received = b""
        while b"[x]" not in received:
            check(select.select([fd], [], [], 10)[0], f"no answer, only {received!r}")
            received += os.read(fd, 100)
        os.close(fd)
    machine.terminate()


@case("--serial unix: takes one user after the other, and refuses a second one")
def _(folder):
    path = folder / "serial"
    machine = Doppel(write_guest(folder, ECHO), "--serial", f"unix:{path}", terminal=False)
    tap.wait_for_listener(path)
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as user, socket.socket(socket.AF_UNIX) as second:
            user.settimeout(10)
            second.settimeout(10)
            user.connect(str(path))
            user.sendall(b"y")
            receive_until(user, b"[y]")
            second.connect(str(path))
            check_equal(second.recv(1), b"", "the second user")
            user.sendall(b"z")
            receive_until(user, b"[z]")
    machine.terminate()
    check(not path.exists(), "the socket was left behind")


@case("--serial unix: a user right behind another one is not refused")
def _(folder):
    path = folder / "serial"
    machine = Doppel(write_guest(folder, ECHO), "--serial", f"unix:{path}", terminal=False)
    tap.wait_for_listener(path)
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as user:
            user.settimeout(10)
            user.connect(str(path))
            user.sendall(b"y")
            receive_until(user, b"[y]")
    machine.terminate()


@case("Ctrl-] leaves with status 0, and what was printed is there")
def _(folder):
    machine = Doppel(write_guest(folder, ECHO))
    machine.expect(">")
    machine.send("a")
    machine.expect(r"\[a\]")
    machine.send("\x1d")
    machine.check_exit(0, 2)


@case("a second machine on a disk is refused; readers share")
def _(folder):
    guest = write_guest(folder, SPIN)
    disk = folder / "disk"
    disk.write_bytes(bytes(MIB))
    first = Doppel(guest, "--disk", disk, terminal=False)
    tap.wait_until(lambda: str(disk) in links(first), 10, "the disk to be open")
    second = Doppel(guest, "--disk", disk, terminal=False)
    second.check_exit(2)
    check_in("in use", second.errors(), "message")
    check_in(str(disk), second.errors(), "message")
    first.terminate()
    readers = [Doppel(guest, "--disk", f"{disk},readonly", terminal=False) for _ in range(2)]
    for reader in readers:
        tap.wait_until(lambda r=reader: str(disk) in links(r) and r.threads() > 1, 10, "a reader")
    writer = Doppel(guest, "--disk", disk, terminal=False)
    writer.check_exit(2)
    for reader in readers:
        reader.terminate()


def links(machine):
    folder = f"/proc/{machine.pid}/fd"
    return {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}


@case("-S: a paused machine does nothing until it is ended")
def _(folder):
    machine = Doppel("-S", write_guest(folder, HELLO), terminal=False)
    tap.wait_until(lambda: machine.threads() > 1, 10, "the hart")
    time.sleep(0.3)
    check(not machine.read() or not machine.output, "it printed")
    machine.terminate()


@case("--icount and --seed make bare-metal runs repeat exactly")
def _(folder):
    guest = write_guest(folder, """
        start:
            li   s0, 1000
        next:
            csrr t0, time
            csrr t1, mcycle
            add  s1, s1, t0
            xor  s1, s1, t1
            addi s0, s0, -1
            bnez s0, next
            la   t2, begin_signature
            sd   s1, 0(t2)
            li   a0, 0x5555
            j    finish
        """ + FINISH + "\n.align 8\nbegin_signature: .dword 0\nend_signature: .word 0")
    results = set()
    for _ in range(3):
        machine = Doppel(guest, "--icount", "--stats=json", "--signature", folder / "signature",
                         terminal=False)
        machine.check_exit(0)
        results.add((json.loads(machine.errors())["instructions"],
                     (folder / "signature").read_text()))
    check_equal(len(results), 1, "different results")


if __name__ == "__main__":
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])
