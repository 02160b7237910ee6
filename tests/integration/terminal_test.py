#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The user's terminal and pipes: settings are restored whatever happens, keys
reach the guest, and slow or absent readers harm nobody.

    terminal_test.py DOPPEL [--long] [--only REGEX]
"""
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import threading
import time

import process
import tap
from assembler import elf
from process import Doppel
from tap import case, check, check_equal, check_in

MIB = 1 << 20

# Prints '>' and then echoes what it receives, one more than it was.
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
    addi t1, t1, 1
    sb   t1, 0(t0)
    j    wait
"""

POWER_OFF = """
start:
    li   t0, 0x10000000
    li   t2, '>'
    sb   t2, 0(t0)
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
stay:
    j    stay
"""

# Prints COUNT lines of sixteen hexadecimal digits, asking the UART for room as a
# driver does, then powers off.
LINES = """
start:
    li   s0, 0
    li   s1, COUNT
    li   s2, 0x10000000
    li   t0, 1
    sb   t0, 2(s2)          # FIFOs on
line:
    li   s3, 60
digit:
    srl  a0, s0, s3
    andi a0, a0, 15
    addi a0, a0, 48
    li   t0, 58
    bltu a0, t0, put
    addi a0, a0, 39
put:
    call out
    addi s3, s3, -4
    bge  s3, zero, digit
    li   a0, 10
    call out
    addi s0, s0, 1
    bne  s0, s1, line
drain:
    lbu  t0, 5(s2)
    andi t0, t0, 0x20
    beqz t0, drain
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
stay:
    j    stay
out:
    lbu  t0, 5(s2)
    andi t0, t0, 0x20
    beqz t0, out
    sb   a0, 0(s2)
    ret
"""


def write_guest(folder, text):
    path = folder / "guest.elf"
    path.write_bytes(elf(text))
    return path


def line_guest(folder, count):
    return write_guest(folder, LINES.replace("COUNT", str(count)))


def check_lines(output, count):
    lines = output.replace(b"\r\n", b"\n").split(b"\n")
    check_equal(len(lines) - 1, count, "number of lines")
    for number, line in enumerate(lines[:-1]):
        if line != b"%016x" % number:
            raise AssertionError(f"line {number} is {line!r}")


# ---- the terminal's settings ----

def check_settings(machine, what):
    check_equal(termios.tcgetattr(machine.slave), machine.settings, f"settings after {what}")


def check_raw(machine):
    now = termios.tcgetattr(machine.slave)
    check(now != machine.settings, "the terminal is not raw while the guest runs")
    check_equal(now[3] & (termios.ICANON | termios.ECHO | termios.ISIG), 0, "local modes")


def echo_machine(folder, *arguments):
    machine = Doppel(write_guest(folder, ECHO), *arguments)
    machine.expect(">")
    check_raw(machine)
    return machine


@case("the terminal is restored when the guest powers off")
def _(folder):
    machine = Doppel(write_guest(folder, POWER_OFF))
    machine.check_exit(0)
    check_settings(machine, "power-off")


@case("the terminal is restored after Ctrl-]")
def _(folder):
    machine = echo_machine(folder)
    machine.send("\x1d")
    machine.check_exit(0)
    check_settings(machine, "Ctrl-]")


@case("the terminal is restored after SIGTERM, SIGINT, SIGHUP and SIGQUIT")
def _(folder):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        machine = echo_machine(folder)
        machine.terminate(number=number)
        check_settings(machine, number.name)


@case("the terminal is restored after SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE and SIGTRAP")
def _(folder):
    process.no_core_dumps()
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE,
                   signal.SIGTRAP):
        machine = echo_machine(folder)
        machine.kill(number)
        check_equal(machine.wait(), 128 + number, f"status after {number.name}")
        check_settings(machine, number.name)


@case("bad options leave the terminal as it is")
def _(folder):
    guest = write_guest(folder, ECHO)
    for words in (["--cpus", "0", guest], [folder / "missing"],
                  ["--gdb", "tcp:nowhere", guest],
                  ["--serial", "stdio", "--console", "stdio", guest],
                  ["--disk", folder / "missing", guest]):
        machine = Doppel(*words)
        machine.check_exit(2)
        check_settings(machine, f"bad options {words}")


@case("the terminal stays as it is when the serial line is elsewhere")
def _(folder):
    machine = Doppel(write_guest(folder, ECHO), "--serial", f"file:{folder}/log")
    tap.wait_until(lambda: (folder / "log").exists() and (folder / "log").read_bytes(), 10, "'>'")
    check_settings(machine, "start")
    machine.terminate()
    check_settings(machine, "the end")


@case("the terminal is raw and restored when only the output is redirected")
def _(folder):
    master, slave = pty.openpty()
    tap.at_end(lambda: (os.close(master), os.close(slave)))
    before = termios.tcgetattr(slave)
    machine = Doppel(write_guest(folder, ECHO), terminal=False, stdin=slave)
    machine.expect(">")
    check(termios.tcgetattr(slave) != before, "not raw")
    os.write(master, b"a")
    machine.expect("b")
    os.write(master, b"\x1d")
    machine.check_exit(0)
    check_equal(termios.tcgetattr(slave), before, "settings")


@case("a paused machine lets Ctrl-] leave and restores the terminal")
def _(folder):
    machine = Doppel("-S", write_guest(folder, ECHO))
    tap.wait_until(lambda: termios.tcgetattr(machine.slave) != machine.settings, 10, "raw mode")
    machine.send("\x1d")
    machine.check_exit(0)
    check_settings(machine, "Ctrl-]")


@case("a terminal that goes away ends the machine")
def _(folder):
    machine = echo_machine(folder)
    os.close(machine.slave)
    os.close(machine.fd)
    machine.fd = machine.slave = None
    machine.check_exit(128 + signal.SIGHUP, 5)


# ---- keys ----

@case("every key but Ctrl-] reaches the guest: Ctrl-C, Ctrl-Z, Ctrl-D, Ctrl-\\, Ctrl-S, CR")
def _(folder):
    machine = echo_machine(folder)
    for key in b"\x00\x01\x03\x04\x08\x0d\x0a\x11\x13\x1a\x1b\x1c\x1e\x7e\xc3":
        machine.send(bytes([key]))
        wanted = bytes([key + 1])
        machine.expect(b"\r\n" if wanted == b"\n" else re.escape(wanted), 5)
    check(machine.is_alive(), "a key ended it")
    machine.send("\x1d")
    machine.check_exit(0)


@case("fifty thousand keys at once arrive whole, and Ctrl-] behind them leaves", limit_s=120)
def _(folder):
    machine = echo_machine(folder)
    typed = b"abcdefghijklmnopqrstuvwxy" * 2000
    sender = threading.Thread(target=feed, args=(machine.fd, typed))
    sender.start()
    tap.wait_until(lambda: machine.read(0.01) and len(machine.output) > len(typed), 60, "the echo")
    sender.join()
    check_equal(bytes(machine.output[1:]), bytes(byte + 1 for byte in typed), "echo")
    machine.send("\x1d")
    machine.check_exit(0)


def feed(fd, data):
    while data:
        try:
            data = data[os.write(fd, data[:1000]):]
        except BlockingIOError:
            time.sleep(0.001)


@case("Ctrl-] leaves although the guest takes no input")
def _(folder):
    machine = Doppel(write_guest(folder, "start: j start"))
    tap.wait_until(lambda: termios.tcgetattr(machine.slave) != machine.settings, 10, "raw mode")
    for _ in range(20):
        machine.send(b"x" * 100)
        time.sleep(0.01)
    machine.send("\x1d")
    machine.check_exit(0, 5)


# ---- standard input that is no terminal ----

@case("input at its end, from /dev/null or closed, is silence for the guest")
def _(folder):
    count = 100
    guest = line_guest(folder, count)
    closed_read, closed_write = os.pipe()
    os.close(closed_write)
    with open("/dev/null", "rb") as null:
        for stdin in (null, closed_read):
            machine = Doppel(guest, terminal=False, stdin=stdin)
            machine.check_exit(0)
            check_lines(bytes(machine.output), count)
    os.close(closed_read)


@case("standard input and output that are closed altogether harm nothing")
def _(folder):
    guest = line_guest(folder, 100)
    disk = folder / "disk"
    disk.write_bytes(b"untouched".ljust(MIB, b"\0"))
    for closing in ("<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"):
        result = subprocess.run(["sh", "-c", f'exec "$0" boot "$@" {closing}',
                                 str(tap.options.doppel), "--disk", str(disk), str(guest)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=20,
                                check=False)
        check_equal(result.returncode, 0, f"status with {closing}")
        check_equal(disk.read_bytes(), b"untouched".ljust(MIB, b"\0"), f"disk with {closing}")


@case("input from a pipe and from a file reaches the guest, also behind its 256th byte")
def _(folder):
    guest = write_guest(folder, ECHO)
    typed = b"0123456789" * 500
    (folder / "typed").write_bytes(typed)
    wanted = b">" + bytes(byte + 1 for byte in typed)
    machine = Doppel(guest, terminal=False, stdin=subprocess.PIPE)
    machine.process.stdin.write(typed)
    machine.process.stdin.close()
    machine.process.stdin = None
    tap.wait_until(lambda: machine.read(0.01) and len(machine.output) >= len(wanted), 20,
                   "the echo")
    check_equal(bytes(machine.output), wanted, "echo of a pipe")
    machine.terminate()
    with open(folder / "typed", "rb") as file:
        machine = Doppel(guest, terminal=False, stdin=file)
        tap.wait_until(lambda: machine.read(0.01) and len(machine.output) >= len(wanted), 20,
                       "the echo")
    check_equal(bytes(machine.output), wanted, "echo of a file")
    machine.terminate()


@case("Ctrl-] in a pipe is a byte like others")
def _(folder):
    machine = Doppel(write_guest(folder, ECHO), terminal=False, stdin=subprocess.PIPE)
    machine.expect(">")
    machine.process.stdin.write(b"\x1d")
    machine.process.stdin.flush()
    machine.expect("\x1e")
    machine.terminate()


# ---- output that is no terminal ----

@case("doppel boot | head ends: a reader that goes away does not stop the guest")
def _(folder):
    guest = line_guest(folder, 200000)
    result = subprocess.run(["bash", "-c", 'set -o pipefail; "$0" boot "$1" | head -n 3; '
                             'echo status $?', str(tap.options.doppel), str(guest)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=40,
                            check=False)
    check_equal(result.stdout, b"%016x\n%016x\n%016x\nstatus 0\n" % (0, 1, 2), "output")


@case("output to a file, a pipe and /dev/null is complete and does not stall", limit_s=120)
def _(folder):
    count = 100000
    guest = line_guest(folder, count)
    machine = Doppel(guest, terminal=False)
    machine.check_exit(0, 40)
    check_lines(bytes(machine.output), count)
    with open(folder / "out", "wb") as file:
        Doppel(guest, terminal=False, stdout=file).check_exit(0, 40)
    check_lines((folder / "out").read_bytes(), count)
    with open("/dev/null", "wb") as null:
        for _ in range(5):
            Doppel(guest, terminal=False, stdout=null).check_exit(0, 40)


@case("output to a full disk does not stop the guest")
def _(folder):
    guest = line_guest(folder, 20000)
    with open("/dev/full", "wb") as full:
        Doppel(guest, terminal=False, stdout=full).check_exit(0)
    Doppel(guest, "--serial", "file:/dev/full", terminal=False).check_exit(0)


def slow_reader(machine, count):
    """Output must wait for a reader that stands still, and cost no memory."""
    machine.expect("%016x" % 10)
    before = machine.memory()
    cpu = machine.cpu_seconds()
    time.sleep(2)
    check(machine.memory() < before + 2 * MIB or tap.is_sanitized(),
          f"{before} became {machine.memory()} bytes")
    check(machine.is_alive(), "it ended without its reader")
    tap.comment(f"{machine.cpu_seconds() - cpu:.1f} s of CPU while nobody read")
    machine.check_exit(0, 60)
    check_lines(bytes(machine.output), count)


@case("a pipe whose reader stops for a while loses nothing", limit_s=120)
def _(folder):
    count = 50000
    slow_reader(Doppel(line_guest(folder, count), terminal=False), count)


@case("a terminal whose reader stops for a while loses nothing", limit_s=120)
def _(folder):
    count = 50000
    slow_reader(Doppel(line_guest(folder, count)), count)


@case("SIGTERM and Ctrl-] are obeyed although nobody reads the output")
def _(folder):
    guest = line_guest(folder, 1 << 40)
    for terminal in (False, True):
        machine = Doppel(guest, terminal=terminal)
        machine.expect("%016x" % 10)
        time.sleep(0.5)
        obey_unread(machine, signal.SIGTERM)
    machine = Doppel(guest)
    machine.expect("%016x" % 10)
    time.sleep(0.5)
    machine.send("\x1d")
    check_equal(wait_unread(machine, 3), 0, "status after Ctrl-]")


def wait_unread(machine, limit_s):
    """The status, without taking any output, which would help it to end."""
    return machine.process.wait(limit_s)


def obey_unread(machine, number):
    machine.kill(number)
    try:
        status = wait_unread(machine, 3)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"signal {number} was not obeyed within 3 s") from None
    check_equal(status, 128 + number, "status")


@case("--serial unix: a user that does not read stops nobody else", limit_s=60)
def _(folder):
    path = folder / "serial"
    machine = Doppel(line_guest(folder, 1 << 40), "--serial", f"unix:{path}", terminal=False)
    tap.wait_for_listener(path)
    with socket.socket(socket.AF_UNIX) as user:
        user.connect(str(path))
        time.sleep(1)
        check(machine.memory() < 64 * MIB or tap.is_sanitized(), "memory")
    with socket.socket(socket.AF_UNIX) as user:
        user.settimeout(10)
        user.connect(str(path))
        check(user.recv(100), "nothing for the second user")
    machine.terminate()


@case("--serial unix: a user that leaves with its input unread costs no time")
def _(folder):
    path = folder / "serial"
    machine = Doppel(write_guest(folder, "start: wfi\n j start"), "--serial", f"unix:{path}",
                     terminal=False)
    tap.wait_for_listener(path)
    with socket.socket(socket.AF_UNIX) as user:
        user.connect(str(path))
        user.sendall(b"x" * 5000)
        time.sleep(0.2)
    time.sleep(0.2)
    before = machine.cpu_seconds()
    time.sleep(1)
    spent = machine.cpu_seconds() - before
    check(spent < 0.3, f"{spent:.2f} s of CPU in a second of silence")
    machine.terminate()


@case("a pipe that ends with its input unread costs no time")
def _(folder):
    machine = Doppel(write_guest(folder, "start: wfi\n j start"), terminal=False,
                     stdin=subprocess.PIPE)
    machine.process.stdin.write(b"x" * 5000)
    machine.process.stdin.close()
    machine.process.stdin = None
    time.sleep(0.5)
    before = machine.cpu_seconds()
    time.sleep(1)
    spent = machine.cpu_seconds() - before
    check(spent < 0.3, f"{spent:.2f} s of CPU in a second of silence")
    machine.terminate()


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
