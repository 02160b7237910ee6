#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The debugger's user: gdb on bare-metal programs and on Debian's kernel, and
clients that are no debugger.

    gdb_test.py DOPPEL [--long] [--only REGEX]
"""
import os
import random
import re
import signal
import socket
import subprocess
import time

import guests
import tap
from assembler import Program, elf
from process import Doppel
from tap import Skip, case, check, check_equal, check_in

GDB = "gdb-multiarch"
GDB_S = 40

# Hart 0 counts and prints a dot now and then; other harts count in s2.
COUNTER = """
start:
    csrr a0, mhartid
    la   sp, stack_end
    slli t0, a0, 12
    sub  sp, sp, t0
    mv   s0, a0
    li   s1, 0
    bnez s0, other
main:
    addi s1, s1, 1
    mv   a0, s1
    call work
    j    main
work:
    addi sp, sp, -16
    sd   ra, 8(sp)
    la   t0, counter
    ld   t1, 0(t0)
    addi t1, t1, 1
    sd   t1, 0(t0)
    la   t2, twice
    slli t3, t1, 1
    sd   t3, 0(t2)
    slli a0, a0, 1
    li   t4, 0x7ffff
    and  t5, t1, t4
    bnez t5, work_end
    li   t4, 0x10000000
    li   t5, '.'
    sb   t5, 0(t4)
work_end:
    ld   ra, 8(sp)
    addi sp, sp, 16
    ret
other:
    addi s2, s2, 1
    j    other
    .align 64
counter: .dword 0
twice: .dword 0
pattern: .word 0x11223344, 0x55667788
    .align 4096
    .zero 16384
stack_end: .word 0
"""
LABELS = Program(COUNTER).labels

ENDS = """
start:
    li   t0, 0x100000
    li   t1, 0x73333
last:
    sw   t1, 0(t0)
stay: j stay
"""


class Debugged:
    """A guest with its socket for gdb."""

    def __init__(self, folder, text, *arguments):
        """`text` is a program, or None when the arguments say what to boot."""
        self.folder = folder
        self.elf = []
        if text:
            self.elf = [folder / "guest.elf"]
            self.elf[0].write_bytes(elf(text))
        self.path = folder / "gdb"
        self.machine = Doppel("--gdb", f"unix:{self.path}", *arguments, *self.elf, terminal=False)
        tap.wait_for_listener(self.path)

    def words(self, *commands):
        words = [GDB, "-q", "-nx", "-batch", "-ex", "set confirm off", "-ex", "set pagination off",
                 "-ex", "set tcp connect-timeout 5", "-ex", "set remotetimeout 10"]
        for command in (f"target remote {self.path}", *commands):
            words += ["-ex", command]
        return words + list(map(str, self.elf))

    def gdb(self, *commands):
        """Runs the commands behind the connection; returns what gdb says."""
        if not guests.has_program(GDB):
            raise Skip(f"{GDB} is not installed")
        result = subprocess.run(self.words(*commands), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                timeout=GDB_S, cwd=self.folder)
        text = result.stdout.decode(errors="replace")
        for bad in ("Remote connection closed", "Connection refused", "Ignoring packet error",
                    "Remote 'g' packet reply", "Truncated register", "warning: Invalid remote"):
            check(bad not in text, text)
        return text

    def connect(self):
        def attempt():
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(10)
            try:
                client.connect(str(self.path))
                return client
            except BlockingIOError:  # earlier ones are still waiting
                client.close()
                return None

        client = tap.wait_until(attempt, 10, "a connection")
        tap.at_end(client.close)
        return client

    def runs(self):
        """The guest gets on: it prints."""
        size = -1
        while len(self.machine.output) > size:  # what it printed before
            size = len(self.machine.output)
            self.machine.read()
        tap.wait_until(lambda: self.machine.read(0.05) and len(self.machine.output) > size, 10,
                       "output of the running guest")


def value(text, name):
    """Of a "print/x NAME", which the commands label with echo."""
    match = re.search(rf"{re.escape(name)}: ?(?:\(gdb\) )?\$\d+ = (0x[0-9a-f]+|\d+)", text)
    check(match, f"no {name} in {text!r}")
    return int(match.group(1), 0)


def show(*names):
    commands = []
    for name in names:
        commands += [f"echo {name}: ", f"print/x {name}"]
    return commands


# ---- stopping ----

@case("-S: gdb finds the machine before its first instruction")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb(*show("$pc", "$a0", "$priv", "*(long*)&counter"), "stepi", *show("$pc + 1"))
    check_equal(value(text, "$pc"), 0x80000000, "pc")
    check_equal(value(text, "$priv"), 3, "privilege")
    check_equal(value(text, "*(long*)&counter"), 0, "counter")
    check_equal(value(text, "$pc + 1"), 0x80000005, "pc after a step")


@case("breakpoints stop where they are, as often as they are reached, and can be deleted")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb("break *work", "continue", *show("$pc", "$a0"), "continue", *show("$s1"),
                     "ignore 1 5", "continue", "echo third ", *show("$a0 + 0"),
                     "hbreak *work_end", "continue", *show("$pc + 0"), "delete", "info breakpoints")
    check_equal(value(text, "$pc"), LABELS["work"], "pc")
    check_equal(value(text, "$a0"), 1, "a0 at the first stop")
    check_equal(value(text, "$s1"), 2, "s1 at the second stop")
    check_equal(value(text, "$a0 + 0"), 8, "a0 after five were ignored")
    check_equal(value(text, "$pc + 0"), LABELS["work_end"], "pc at the hardware breakpoint")
    check_in("No breakpoints", text, "breakpoints")


@case("stepi, nexti, finish and until do what they say")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb("break *work", "continue", "stepi 3", *show("$pc"), "delete", "finish",
                     *show("$pc + 0", "$a0"), "stepi", *show("$pc - 0"), "tbreak *main", "continue",
                     "stepi", "stepi", "nexti", *show("$pc + 1 - 1"))
    check_equal(value(text, "$pc"), LABELS["work"] + 12, "pc after three steps")
    check_equal(value(text, "$pc + 0"), LABELS["main"] + 12, "pc after finish")
    check_equal(value(text, "$a0"), 2, "a0 after finish")
    check_equal(value(text, "$pc - 0"), LABELS["main"], "pc after the jump")
    check_equal(value(text, "$pc + 1 - 1"), LABELS["main"] + 12, "pc after nexti over the call")


@case("watchpoints tell writes, reads and both")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb("watch *(long*)&counter", "continue", *show("$pc"), "continue",
                     *show("*(long*)&counter"), "delete",
                     "rwatch *(long*)&counter", "continue", *show("$pc + 0"), "delete",
                     "awatch *(long*)&twice", "continue", *show("$t3"))
    check_in("Old value = 0", text, "watchpoint")
    check_in("New value = 1", text, "watchpoint")
    check(LABELS["work"] < value(text, "$pc") < LABELS["work_end"], "pc at the write")
    check_equal(value(text, "*(long*)&counter"), 2, "counter at the second write")
    check(LABELS["work"] < value(text, "$pc + 0") < LABELS["work_end"], "pc at the read")
    check_equal(value(text, "$t3") & 1, 0, "t3")


@case("Ctrl-C in gdb stops the guest, and continue goes on", limit_s=90)
def _(folder):
    guest = Debugged(folder, COUNTER)
    text = interrupt_gdb(guest, ["print/x $pc", "print *(long*)&counter"])
    check(re.search(r"received signal SIGINT", text), text)
    pc = int(re.search(r"= (0x8000[0-9a-f]+)", text).group(1), 16)
    check(0x80000000 <= pc < 0x80000200, hex(pc))
    guest.runs()


def interrupt_gdb(guest, commands, after_s=1.0, rounds=2):
    """An interactive gdb that is told to continue and interrupted, some times over."""
    if not guests.has_program(GDB):
        raise Skip(f"{GDB} is not installed")
    words = [word for word in guest.words() if word != "-batch"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, cwd=guest.folder, start_new_session=True)
    tap.at_end(lambda: (process.kill(), process.wait(), process.stdin.close(),
                        process.stdout.close()))
    os.set_blocking(process.stdout.fileno(), False)
    text = bytearray()

    def told(pattern):
        text.extend(process.stdout.read() or b"")
        return len(re.findall(pattern, text))

    for number in range(rounds):
        process.stdin.write(b"continue\n")
        process.stdin.flush()
        tap.wait_until(lambda n=number: told(rb"Continuing") > n, GDB_S, "gdb to go on")
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        tap.wait_until(lambda n=number: told(rb"SIGINT") > n, GDB_S, "the interrupt")
    for command in (*commands, "detach", "quit"):
        process.stdin.write(command.encode() + b"\n")
    process.stdin.flush()
    tap.wait_until(lambda: told(b"$^") or process.poll() is not None, GDB_S, "gdb's end")
    told(b"")
    return text.decode(errors="replace")


# ---- what there is ----

@case("registers and CSRs are read and written; memory too, code included")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb("set $s5 = 0x123456789abcdef0", "set $ft0.double = 1.5", "stepi",
                     *show("$s5", "$misa", "$mhartid", "$mstatus"),
                     "set $mscratch = 0xabcd", "stepi", *show("$mscratch"),
                     "print $ft0.double", "x/2xw &pattern", "set {int}&pattern = 0x0badcafe",
                     "x/2xw &pattern", "set $zero = 5", *show("$zero"),
                     "set {int}&main = 0x00148493 + (4 << 20)", "break *work", "continue",
                     *show("$s1"), "info registers pc", "x/2i &main")
    check_equal(value(text, "$s5"), 0x123456789abcdef0, "s5")
    check_equal(value(text, "$misa") & 0x112d, 0x112d, "misa")
    check_equal(value(text, "$mhartid"), 0, "mhartid")
    check_equal(value(text, "$mscratch"), 0xabcd, "mscratch")
    check_equal(value(text, "$zero"), 0, "zero")
    check_in("= 1.5", text, "ft0")
    check_in("0x11223344\t0x55667788", text, "memory")
    check_in("0x0badcafe\t0x55667788", text, "memory after the write")
    check_equal(value(text, "$s1"), 5, "s1 after the instruction was patched")


@case("memory that is not there gives an error, not an end")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    text = guest.gdb("x/xw 0", "x/xw 0xffffffffffffff00", "x/xw 0x10000000",
                     "set {int}0x4 = 1", "break *0x2", "delete", *show("$pc"))
    check(text.count("Cannot access memory") >= 3, text)
    check_equal(value(text, "$pc"), 0x80000000, "pc")


@case("harts are threads with registers of their own")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S", "--cpus", 3)
    text = guest.gdb("break *work if $s1 == 100", "continue", "info threads", "thread 2",
                     *show("$mhartid", "$s0"), "thread 3", *show("$s0 + 0", "$pc"), "thread 1",
                     *show("$s0 - 0", "$s1"), "thread apply all print/x $mhartid")
    check_equal(len(re.findall(r"Thread \d.*hart \d", text)) >= 3, True, "threads listed")
    check_equal(value(text, "$mhartid"), 1, "hart of thread 2")
    check_equal(value(text, "$s0"), 1, "s0 of thread 2")
    check_equal(value(text, "$s0 + 0"), 2, "s0 of thread 3")
    check_equal(value(text, "$s0 - 0"), 0, "s0 of thread 1")
    check_equal(value(text, "$s1"), 100, "s1 of thread 1")


@case("a breakpoint that another hart reaches is told for that hart")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S", "--cpus", 2)
    text = guest.gdb("break *other", "continue", *show("$mhartid", "$_thread"))
    check_equal(value(text, "$mhartid"), 1, "hart")
    check_equal(value(text, "$_thread"), 2, "thread")


# ---- ends ----

@case("detach leaves the guest running, without its breakpoints")
def _(folder):
    guest = Debugged(folder, COUNTER)
    for _ in range(2):
        guest.gdb("break *work", "continue", "detach")
        guest.runs()
    guest.machine.terminate()
    check(not guest.path.exists(), "the socket was left behind")


@case("a gdb that quits without detaching leaves the guest running")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    guest.gdb("break *work", "continue")
    guest.runs()
    guest.machine.terminate()


@case("kill ends the machine")
def _(folder):
    guest = Debugged(folder, COUNTER)
    guest.gdb("kill")
    guest.machine.check_exit(0, 5)


@case("a guest that ends tells gdb its status")
def _(folder):
    guest = Debugged(folder, ENDS, "-S")
    text = guest.gdb("break *last", "continue", *show("$pc"), "delete", "continue")
    check_in("exited with code 07", text, "gdb")
    guest.machine.check_exit(7, 5)


@case("SIGTERM ends a machine that gdb has stopped, and one that runs under gdb")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    client = guest.connect()
    packet(client, b"?")
    guest.machine.terminate()
    (folder / "second").mkdir()
    guest = Debugged(folder / "second", COUNTER, "-S")
    client = guest.connect()
    packet(client, b"?")
    client.sendall(frame(b"c"))
    guest.runs()
    guest.machine.terminate()


# ---- other clients ----

def frame(payload):
    return b"$%s#%02x" % (payload, sum(payload) & 0xff)


def packet(client, payload):
    """Sends one and returns the answer's payload."""
    client.sendall(frame(payload))
    received = b""
    while not re.search(rb"\$[^#]*#..", received):
        data = client.recv(4096)
        check(data, f"closed after {received!r}")
        received += data
    client.sendall(b"+")
    return re.search(rb"\$([^#]*)#..", received).group(1)


@case("garbage, half packets and clients that vanish do not hurt the guest", limit_s=90)
def _(folder):
    guest = Debugged(folder, COUNTER)
    numbers = random.Random(3)
    for number in range(40 if not tap.options.long else 2000):
        client = guest.connect()
        choice = number % 5
        try:
            if choice == 0:
                client.sendall(numbers.randbytes(5000))
            elif choice == 1:
                client.sendall(b"$" + b"m" * 100000)
            elif choice == 2:
                client.sendall(frame(b"Z0,%x,4" % LABELS["work"]) + frame(b"c") + b"$g")
            elif choice == 3:
                letters = b"?gGpPmMXcsZzHTqvDQ,:;#0123456789abcdef*}"
                for _ in range(200):
                    body = bytes(numbers.choices(letters, k=numbers.randrange(30)))
                    client.sendall(frame(body.replace(b"#", b"")))
            else:
                client.sendall(b"\x03" * 1000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        client.close()
        check(guest.machine.is_alive(), f"round {number} ended it: {guest.machine.errors()}")
    if not guests.has_program(GDB):
        return
    # What was garbage may have been a valid "c" to an odd place or an "M" over code.
    text = guest.gdb("monitor reset", "flushregs", *show("$pc"), "break *work", "continue",
                     *show("$pc + 0"))
    check_equal(value(text, "$pc"), 0x80000000, "pc after a reset")
    check_equal(value(text, "$pc + 0"), LABELS["work"], "pc in a real gdb afterwards")
    guest.machine.terminate()


@case("a client that vanishes at a breakpoint leaves the guest running without it")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    client = guest.connect()
    packet(client, b"?")
    check_equal(packet(client, b"Z0,%x,4" % LABELS["work"]), b"OK", "breakpoint")
    check(packet(client, b"c").startswith(b"T05"), "no stop")
    client.close()
    guest.runs()
    guest.machine.terminate()


@case("a second client is refused while the first goes on")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    first = guest.connect()
    packet(first, b"?")
    second = guest.connect()
    check_equal(second.recv(10), b"", "the second client")
    check_equal(len(packet(first, b"g")) // 16 >= 33, True, "the first client's registers")
    first.close()
    for _ in range(50):
        next_one = guest.connect()
        check(packet(next_one, b"?"), "no answer to the next client")
        next_one.close()
    guest.machine.terminate()


@case("a client that does not read its answers costs nothing but itself")
def _(folder):
    guest = Debugged(folder, COUNTER, "-S")
    client = guest.connect()
    client.setblocking(False)
    end = time.monotonic() + 2
    try:
        while time.monotonic() < end:
            try:
                client.send(frame(b"g") * 50)
            except BlockingIOError:
                time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError):
        pass
    check(guest.machine.is_alive(), guest.machine.errors())
    client.close()
    guest.machine.terminate()


@case("tcp: gdb reaches the machine by address and port")
def _(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "guest.elf").write_bytes(elf(COUNTER))
    machine = Doppel("--gdb", f"tcp:127.0.0.1:{port}", folder / "guest.elf", terminal=False)

    def connected():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except ConnectionRefusedError:
            return None

    client = tap.wait_until(connected, 10, "the port")
    check(packet(client, b"?").startswith((b"T", b"S")), "no stop reply")
    client.close()
    machine.terminate()


# ---- a kernel ----

@case("Debian's kernel: virtual memory, CSRs, interrupts and threads", limit_s=120)
def _(folder):
    guest = Debugged(folder, None, "--kernel", guests.kernel(), "--cpus", 2, "-S", "--append",
                     "nokaslr panic=0")
    text = guest.gdb("set architecture riscv:rv64", *show("$pc", "$a1", "$priv"), "stepi",
                     "x/i $pc")
    check_equal(value(text, "$pc"), 0x80200000, "pc at the start")
    check_equal(value(text, "$priv"), 1, "privilege at the start")
    guest.machine.expect("Memory:", 60)
    text = interrupt_gdb(guest, [
        "echo pc: ", "print/x $pc", "echo satp: ", "print/x $satp", "echo sp: ", "print/x $sp",
        "echo stvec: ", "print/x $stvec", "x/2i $stvec", "x/2gx $sp", "info threads",
        "echo code: ", "print/x *(int*)$stvec", "set $vector = $stvec", "hbreak *$vector",
        "continue", "echo here: ", "print/x $pc == $vector", "delete"], after_s=0.5)
    check(value(text, "stvec") >> 32 == 0xffffffff, text)
    check_equal(value(text, "satp") >> 60, 8, "mode of satp")
    check(value(text, "code"), "no code at stvec")
    check_equal(value(text, "here"), 1, "stopped at stvec")
    check(len(re.findall(r"hart [01]", text)) >= 2, text)
    guest.machine.expect("Kernel panic", 60)  # it has no initrd: so it went on
    guest.machine.terminate()


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
