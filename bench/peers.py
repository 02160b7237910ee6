# SPDX-License-Identifier: Apache-2.0
"""Emulators that are compared: how each is started, and what is seen of a run."""
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import subprocess
import time

READY = b"doppel: guest is ready"
END = b"doppel: exit "
LINE = re.compile(rb"^bench (\S+) ([0-9a-f]{16}) ([0-9.]+)\r?$", re.M)
MEMORY = "1G"
MEMORY_BYTES = 1 << 30
QEMU_OPTIONS = "-M virt -cpu rv64 -m {memory} -nographic"
QEMU_BOOT = (QEMU_OPTIONS + " -smp {cpus} -kernel {kernel} -initrd {initrd}"
             " -append 'console=ttyS0 {append}'")
DOPPEL_BOOT = (" boot --cpus {cpus} --memory {memory} --kernel {kernel} --initrd {initrd}"
               " --append '{append}'")
DOPPEL_DISK = " --disk {disk},format=raw"
QEMU_DISK = (" -drive file={disk},format=raw,cache=writeback,if=none,id=disk"
             " -device virtio-blk-pci,drive=disk")
DOPPEL_NET = " --net user"
QEMU_NET = " -netdev user,id=net -device virtio-net-pci,netdev=net,romfile="
PROGRAM = " {program} {group} {scale}"


class Failure(Exception):
    """The peer did not do what was wanted; the reason is the text."""


class Peer:
    """A named template of a command. With {kernel} it is a machine that boots, with
    {program} it runs riscv64 programs, otherwise it is a program of the host's.
    Only doppel is both: `program`."""

    def __init__(self, name, template, start=None, program=None, disk=None, net=None):
        self.name = name
        self.disk = disk  # the template of what more it is told when it gets a {disk}
        self.net = net  # the same when it gets a user-mode network
        self.template = template
        self.start = start  # the template that runs the bare-metal {elf}
        self.program = program or (template if "{program}" in template else None)
        if self.program and "{program}" not in shlex.split(self.program):
            raise Failure(f"{name}: {{program}} is not a word of its own")
        self.kind = ("system" if "{kernel}" in template else
                     "program" if "{program}" in template else "native")

    def words(self, values, template=None):
        return [word.format(**values) for word in shlex.split(template or self.template)]

    def program_words(self, command, root=None):
        """Runs a command of the guest's, which finds its files in `root`. What the
        template has after {program} stands for the command. None if it cannot."""
        if not self.program:
            return None
        words = shlex.split(self.program)
        words = words[:words.index("{program}")] + (["-L", root] if root else [])
        return [str(word) for word in (*words, *command)]


def find_peers(doppel, guest, text):
    """doppel, QEMU as it is installed, the host itself, and those that `text` names,
    one a line: NAME=TEMPLATE, NAME:start=TEMPLATE for the row "start", or
    NAME:disk=WORDS and NAME:net=WORDS that are added where a disk or network is wanted."""
    word = shlex.quote(str(doppel))
    peers = [Peer("doppel", word + DOPPEL_BOOT, word + " boot --memory {memory} {elf}",
                  word + " run" + PROGRAM, DOPPEL_DISK, DOPPEL_NET)]
    if shutil.which("qemu-system-riscv64"):
        peers.append(Peer("qemu", "qemu-system-riscv64 " + QEMU_BOOT,
                          "qemu-system-riscv64 " + QEMU_OPTIONS + " -bios none -kernel {elf}",
                          disk=QEMU_DISK, net=QEMU_NET))
    if shutil.which("qemu-riscv64"):
        peers.append(Peer("qemu-riscv64", "qemu-riscv64" + PROGRAM))
    peers.append(Peer("native", f"{shlex.quote(str(guest.native))} {{group}} {{scale}}"))
    named = {peer.name: peer for peer in peers}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, template = line.partition("=")
        base, _, what = name.partition(":")
        if not equals or what not in ("", "start", "disk", "net") or (what and base not in named):
            raise Failure(f"$DOPPEL_BENCH_PEERS: '{line}' is not NAME=TEMPLATE")
        if what:
            setattr(named[base], what, template)
        else:
            named[base] = Peer(base, template)
    return list(named.values())


class Run:
    """A process whose output is read with the time at which it came."""

    def __init__(self, words, log, limit_s, env=None):
        self.log = log
        self.output = bytearray()
        self.begin = time.monotonic()
        self.end = self.begin + limit_s
        # Input stays open and empty: some take its end for the user's leaving.
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env=env)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.write_bytes(self.output)

    def wait_for(self, text):
        """Reads until `text` was printed; returns the seconds since the start."""
        while text not in self.output:
            self.read(text)
        return time.monotonic() - self.begin

    def read(self, text):
        fd = self.process.stdout.fileno()
        left_s = self.end - time.monotonic()
        if left_s <= 0:
            raise Failure(f"no {text.decode()!r} within the time; see {self.log}")
        if select.select([fd], [], [], left_s)[0]:
            data = os.read(fd, 65536)
            if not data:
                raise Failure(f"ended without {text.decode()!r}; see {self.log}")
            self.output += data

    def take_line(self, text):
        """The rest of the line that begins with `text`, once it is complete."""
        self.wait_for(text)
        at = self.output.index(text) + len(text)
        while b"\n" not in self.output[at:]:
            self.read(b"the end of a line")
        return self.output[at:].split(b"\n", 1)[0].strip().decode()

    def wait(self):
        """Takes the rest of the output; returns status and seconds since the start."""
        try:
            rest, _ = self.process.communicate(timeout=max(0.1, self.end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failure(f"does not end; see {self.log}") from None
        self.output += rest
        return self.process.returncode, time.monotonic() - self.begin

    def results(self):
        """(row, seconds, checksum) of each row that was run."""
        return [(name.decode(), float(seconds), total.decode())
                for name, total, seconds in LINE.findall(bytes(self.output))]


def run_machine(peer, values, log, limit_s, template=None):
    """Boots and runs a group. Returns the seconds to its first line, and the rows."""
    with Run(peer.words(values, template), log, limit_s) as run:
        ready_s = run.wait_for(READY)
        status = run.take_line(END)
        if status != "0":
            raise Failure(f"the benchmark ended with status {status}; see {log}")
        return ready_s, run.results()


def run_program(words, log, limit_s, env=None):
    """Returns the rows that it prints, and the seconds of all of it."""
    with Run(words, log, limit_s, env) as run:
        status, seconds = run.wait()
        if status:
            raise Failure(f"the benchmark ended with status {status}; see {log}")
        return run.results(), seconds


def run_idle(peer, values, log, limit_s, settle_s=5):
    """Resident MiB of a machine that does nothing, in all and without guest RAM."""
    with Run(peer.words(values), log, limit_s) as run:
        run.wait_for(READY)
        time.sleep(settle_s)
        return resident_mib(run.process.pid)


def run_start(peer, values, log, limit_s):
    with Run(peer.words(values, peer.start), log, limit_s) as run:
        status, seconds = run.wait()
        if status:
            raise Failure(f"the guest that powers off ended with status {status}; see {log}")
        return seconds


def resident_mib(pid):
    """VmRSS, and VmRSS without the mappings that are guest RAM: data as large as it,
    next to each other and of one kind."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    total = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024
    guest_kib = size = resident = 0
    before = None
    for start, end, kind, rss in [*mappings(pid), (0, 0, "", 0)]:
        if before != (start, kind):
            guest_kib += resident if size >= 0.9 * MEMORY_BYTES else 0
            size = resident = 0
        size += end - start
        resident += rss
        before = (end, kind)
    return total, total - guest_kib / 1024


def mappings(pid):
    """(start, end, kind, resident KiB); what can be executed is no RAM."""
    head = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)")
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        match = head.match(line)
        if match:
            kind = (match.group(3)[2:], match.group(4))
            found.append([int(match.group(1), 16), int(match.group(2), 16), kind, 0])
        elif line.startswith("Rss:"):
            found[-1][3] = int(line.split()[1])
    return [tuple(entry) for entry in found]
