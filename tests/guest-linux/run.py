#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the Linux programs of this folder under `doppel run`.

    run.py [--doppel PATH] [--build DIR] [--only NAME]... [--engine interp|jit]
    run.py --fuzz COUNT [--seed N]     random system calls
    run.py --reference                 under qemu-riscv64, to test the tests
    run.py --machine                   on Debian's kernel in `doppel boot`: real Linux

Each check of a program is a TAP case; that the program ends well and leaves nothing
behind is another. What qemu-riscv64 7.2 gets wrong is listed in qemu_deviations.txt.
"""
import argparse
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / "tools"
COMPILER = "riscv64-linux-gnu-gcc"
# Bad pointers and sizes are the point of many checks.
FLAGS = ["-static", "-O2", "-pthread", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra",
         "-Werror", "-Wno-missing-field-initializers", "-Wno-nonnull", "-Wno-unused-result",
         "-Wno-stringop-overflow", "-Wno-stringop-overread", "-Wno-array-bounds"]
# 2^38 bytes of addresses, as Sv39 has.
QEMU = ["qemu-riscv64", "-R", "0x4000000000"]
DEVIATIONS = HERE / "qemu_deviations.txt"
PROGRAMS = ["files", "directories", "xattrs", "vectors", "pipes", "events", "sockets", "memory",
            "memory_faults", "registers", "code", "calls", "signals", "signal_restart",
            "signal_defaults", "threads", "processes", "execution", "identity", "time", "ipc", "misc",
            "fp", "host_memory"]
TIMEOUT_S = 60
FUZZ_CALLS = 10000
NO_RANDOM_ADDRESSES = 0x40000  # personality(2)
ADDRESSES_END = 1 << 38

MACHINE_INIT = """
mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue
cd /tmp
for name in NAMES; do
    echo "program $name"
    timeout TIMEOUT /programs/$name </dev/null
    echo "status $?"
done
"""


class Report:
    """TAP with the plan at the end."""

    def __init__(self):
        self.count = self.failed = 0

    def case(self, good, text, directive=""):
        self.count += 1
        self.failed += not good and not directive
        print("not " * (not good) + f"ok {self.count} - {text}" + directive, flush=True)

    def comment(self, text):
        for line in text.rstrip().splitlines():
            print("# " + line, flush=True)

    def end(self):
        print(f"1..{self.count}", flush=True)
        return self.failed != 0 or not self.count


class Run:
    """How a program ended, and what it printed."""

    def __init__(self, lines, status, errors="", left=()):
        self.lines, self.status, self.errors, self.left = lines, status, errors, list(left)


def is_fresh(target, sources):
    return target.exists() and all(
        target.stat().st_mtime >= source.stat().st_mtime for source in sources)


def build(folder, name):
    elf = folder / name
    sources = [HERE / (name + ".c"), *HERE.glob("*.h"), HERE / "run.py"]
    if not is_fresh(elf, sources):
        subprocess.run([COMPILER, *FLAGS, "-o", str(elf), str(sources[0]), "-lm"], check=True)
    return elf


# ---- running ----

def processes_of_session(session):
    """Names and numbers of what is left of a session."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name, rest = (folder / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(f"process {name.split('(', 1)[1]} {folder.name}")
            if int(folder.name) != os.getpid():
                os.kill(int(folder.name), signal.SIGKILL)
    return found


def without_random_addresses():
    """So that the addresses that a program guesses are those of its emulator."""
    ctypes.CDLL(None).personality(NO_RANDOM_ADDRESSES)


def memory_of_host(pid):
    """Lines that say what is mapped beyond the addresses of programs."""
    lines = []
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        area, protection = line.split()[:2]
        start, end = (int(word, 16) for word in area.split("-"))
        if start >= ADDRESSES_END and protection[0] == "r":
            lines.append(f"{start:x} {end:x} {protection}")
    return "".join(line + "\n" for line in lines)


def converse(process, tells_memory, timeout_s):
    """What the process prints. One that waits for "ready" is told its own memory."""
    begin, text = b"", b""
    if tells_memory:
        begin = process.stdout.readline()
        text = memory_of_host(process.pid).encode() if begin == b"ready\n" else b""
    output, errors = process.communicate(text, timeout=timeout_s)
    return begin + output, errors


def run_here(command, timeout_s=TIMEOUT_S, prepare=None, tells_memory=False):
    """A program with a session and a folder of its own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="guest-linux-run-"))
    environment = dict(os.environ, TMPDIR=str(folder), LC_ALL="C")
    # Without a buffer, which would hide from communicate() what was not yet read.
    process = subprocess.Popen(command, stdin=subprocess.PIPE if tells_memory else
                               subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=folder, env=environment, bufsize=0,
                               start_new_session=True, preexec_fn=prepare)
    status = None
    try:
        output, errors = converse(process, tells_memory, timeout_s)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        processes_of_session(process.pid)
        output, errors = process.communicate()
    left = processes_of_session(process.pid)
    if status is not None:
        left += [f"file {path.relative_to(folder)}" for path in folder.rglob("*")]
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
    return Run(output.decode(errors="replace").splitlines(), status,
               errors.decode(errors="replace"), left)


def run_in_machine(options, names):
    """All programs on a real kernel; {name: Run}."""
    def tool(name, *arguments):
        return subprocess.run([sys.executable, str(TOOLS / name), *arguments], check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout

    package = pathlib.Path(tool("fetch_guests.py", "linux-image-riscv64").split(" ", 1)[1].strip())
    kernel = sorted((package / "boot").glob("vmlinu[xz]-*"))[-1]
    archive = options.build / "machine.cpio.gz"
    adds = []
    for name in names:
        adds += ["--add", f"{options.build / name}:/programs/{name}"]
    script = MACHINE_INIT.replace("NAMES", " ".join(names)).replace("TIMEOUT", str(TIMEOUT_S))
    tool("make_initramfs.py", *adds, "--exec", script, str(archive))
    command = [options.doppel, "boot", "--cpus", "2", "--memory", "1G", "--kernel", str(kernel),
               "--initrd", str(archive), "--append", "quiet loglevel=3"]
    try:
        output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                timeout=TIMEOUT_S * (len(names) + 1), check=False).stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
    text = output.decode(errors="replace").replace("\r", "")
    runs = {}
    for part in re.split(r"^program ", text, flags=re.M)[1:]:
        name, *lines = part.splitlines()
        ends = [line for line in lines if re.match(r"status \d+$", line)]
        runs[name] = Run(lines[:lines.index(ends[0])] if ends else lines,
                         int(ends[0].split()[1]) if ends else None)
    return runs


# ---- judging ----

def parse_line(line):
    """(verdict, sentence, detail) of a line of a check; None for others."""
    match = re.match(r"(not ok|ok|skip) (.*)$", line)
    if not match:
        return None
    verdict, sentence, detail = match[1], match[2], ""
    if verdict == "skip":
        sentence, detail = sentence.split(": ", 1)
    elif verdict == "not ok":
        found = re.match(r"(.*): (got .*, wanted .*|'.*' failed with .*)$", sentence)
        if found:
            sentence, detail = found[1], found[2]
    return verdict, sentence, detail


def faults_of_end(run, failed):
    """What is wrong with the end of a program."""
    faults = []
    if run.status is None:
        faults.append("it did not end in time")
    elif run.status != (1 if failed else 0):
        faults.append(f"it ended with status {run.status}")
    if run.errors.strip():
        faults.append("on standard error: " + run.errors.strip()[-500:])
    faults += [f"it left {thing} behind" for thing in run.left]
    return faults


def judge(report, name, run, deviations):
    """Reports a run; `deviations` are the sentences that may fail."""
    failed, seen, last = 0, set(), "the beginning"
    for line in run.lines:
        parsed = parse_line(line)
        if not parsed:
            report.comment(line)
            continue
        verdict, sentence, detail = parsed
        text = f"{name}: {sentence}"
        if verdict == "skip":
            report.case(True, text, f" # SKIP {detail}")
            continue
        failed += verdict == "not ok"
        if sentence in seen:
            report.case(False, f"{name}: the sentence '{sentence}' occurs once")
        seen.add(sentence)
        known = verdict == "not ok" and sentence in deviations
        report.case(verdict == "ok", text, " # TODO a known deviation" if known else "")
        if detail:
            report.comment(f"{detail}; behind: {last}")
        last = sentence
    faults = faults_of_end(run, failed)
    known = faults and "the end" in deviations
    report.case(not faults, f"{name}: the end", " # TODO a known deviation" if known else "")
    for fault in faults:
        report.comment(fault)


def read_deviations():
    """{program: sentences}"""
    table = {}
    for line in DEVIATIONS.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            name, sentence = line.split(": ", 1)
            table.setdefault(name, set()).add(sentence)
    return table


def doppel_command(options, elf, *arguments):
    engine = ["--engine", options.engine] if options.engine else []
    return [options.doppel, "run", *engine, str(elf), *arguments]


def run_programs(options, report, names):
    runs = run_in_machine(options, names) if options.machine else {}
    deviations = read_deviations() if options.reference else {}
    if not options.machine and not options.reference:
        os.environ["DOPPEL_GUEST_LINUX"] = "1"
    for name in names:
        elf = options.build / name
        start = time.monotonic()
        if options.machine:
            run = runs.get(name, Run([], None, "the machine did not come so far"))
        elif options.reference:
            run = run_here([*QEMU, str(elf)], timeout_s=TIMEOUT_S)
        else:
            run = run_here(doppel_command(options, elf), tells_memory=name == "host_memory")
        judge(report, name, run, deviations.get(name, ()))
        if not options.machine:
            report.comment(f"{name}: {time.monotonic() - start:.1f} s")


def run_fuzz(options, report):
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    arguments = [str(options.fuzz), str(seed)]
    elf = build(options.build, "fuzz")
    command = ([*QEMU, str(elf), *arguments] if options.reference
               else doppel_command(options, elf, *arguments))
    run = run_here(command, TIMEOUT_S + options.fuzz // 100, without_random_addresses,
                   not options.reference)
    judge(report, "fuzz", run, ())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doppel", default=os.environ.get("DOPPEL", "build/doppel"))
    parser.add_argument("--build", type=pathlib.Path, help="where the programs go")
    parser.add_argument("--only", action="append", choices=PROGRAMS, metavar="NAME")
    parser.add_argument("--engine", choices=["interp", "jit", "auto"])
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--machine", action="store_true")
    parser.add_argument("--fuzz", type=int, nargs="?", const=FUZZ_CALLS, metavar="COUNT")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    options.doppel = str(pathlib.Path(options.doppel).resolve())

    needed = COMPILER if not options.reference else QEMU[0]
    for program in (COMPILER, needed):
        if not shutil.which(program):
            print(f"1..0 # SKIP no {program}")
            return 77
    report = Report()
    names = options.only or PROGRAMS
    with tempfile.TemporaryDirectory() as folder:
        options.build = (options.build or pathlib.Path(folder)).resolve()
        options.build.mkdir(parents=True, exist_ok=True)
        if options.fuzz:
            run_fuzz(options, report)
            return report.end()
        for name in names:
            build(options.build, name)
        try:
            run_programs(options, report, names)
        except subprocess.CalledProcessError as error:
            print(f"1..0 # SKIP {(error.stderr or str(error)).strip().splitlines()[-1]}")
            return 77
        return report.end()


if __name__ == "__main__":
    sys.exit(main())
