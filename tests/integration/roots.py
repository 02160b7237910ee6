# SPDX-License-Identifier: Apache-2.0
"""Programs of Debian 13 for riscv64, unmodified, under `doppel run` or, to test the tests,
under qemu-riscv64 (--reference)."""
import functools
import pathlib
import shutil
import socket
import subprocess
import tempfile

import guests
import tap

RUN_S = 60
# What the programs are given to do.
WORKLOADS = pathlib.Path(__file__).resolve().parent / "workloads"
# What there is of a program's environment.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "LANG": "C.UTF-8"}

# Cases that qemu-riscv64 7.2 does not pass, and why.
CANNOT_EXECUTE = "without binfmt_misc, its programs execute no riscv64 programs"
CANNOT_FOLLOW = "absolute links within the tree lead out of it"
QEMU_CANNOT = {
    "Python's threads, processes, signals, sockets and asyncio work": CANNOT_EXECUTE,
    "Python's processes share work by fork, spawn and fork server": CANNOT_EXECUTE,
    "what a program executes is the tree's, not the host's": CANNOT_EXECUTE,
    "bash controls jobs on a terminal": CANNOT_EXECUTE,
    "Python's own test_json passes": CANNOT_EXECUTE,
    "Python's own test_signal passes": CANNOT_EXECUTE,
    "Python's own test_subprocess passes": CANNOT_EXECUTE,
    "Python's own test_threading passes": CANNOT_EXECUTE,
    "Python's own test_asyncio passes": CANNOT_EXECUTE,
    "gcc builds a program with its assembler and linker that computes as the host's":
        CANNOT_EXECUTE,
    "node computes, compiles, works in threads and serves as the host's node": CANNOT_EXECUTE,
    "javac compiles 500 classes, and they run": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under the serial collector": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under the parallel collector": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under G1": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under ZGC": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under generational ZGC": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under the interpreter alone": CANNOT_FOLLOW,
    "Java's threads allocate, fault and wait under C2 without tiers": CANNOT_FOLLOW,
}


def program_case(sentence, limit_s=RUN_S, long=False):
    """A case that is skipped where the reference cannot do it."""
    def register(function):
        def wrapped(folder):
            if tap.options.reference and sentence in QEMU_CANNOT:
                raise tap.Skip(f"qemu-riscv64: {QEMU_CANNOT[sentence]}")
            function(folder)
        return tap.case(sentence, limit_s=limit_s, long=long)(wrapped)
    return register


@functools.lru_cache(None)
def fetch(*packages):
    """A tree with these packages and all that they depend on."""
    line = guests.run_tool("fetch_guests.py", "--root", *packages)
    return pathlib.Path(line.split(" ", 1)[1].strip())


def prefetch(*packages):
    """Outside of any case's time limit; a failure shows in the cases that need them."""
    try:
        fetch(*packages)
    except tap.Skip as reason:
        tap.comment(f"{' '.join(packages)}: {reason}")


def emulator(root):
    if tap.options.reference:
        return ["qemu-riscv64", "-L", str(root)]
    return [str(tap.options.doppel), "run", "-L", str(root)]


def words(root, program, *arguments):
    """The command line of a program, named by its path in the tree."""
    return [*emulator(root), str(root / program), *map(str, arguments)]


@functools.lru_cache(None)
def scratch():
    """A folder that lives as long as the test program."""
    folder = tempfile.TemporaryDirectory(prefix="doppel-roots-")
    scratch.keep = folder  # removed when the interpreter ends
    return pathlib.Path(folder.name)


def environment(**more):
    return {**ENVIRONMENT, "HOME": str(scratch()), "TMPDIR": str(scratch()), **more}


def execute(command, text=b"", limit_s=RUN_S, status=0, env=None, cwd=None):
    """Runs a command; returns its standard output. It must end with the status and, if
    that is 0, print no error of the emulator."""
    text = text.encode() if isinstance(text, str) else text
    try:
        result = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=limit_s * tap.slowness,
                                env=env or environment(), cwd=cwd or scratch(), check=False)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"no end after {limit_s} s; output {tap.brief(late.stdout)}, errors "
                             f"{tap.brief(late.stderr)}") from None
    errors = result.stderr.decode(errors="replace")
    tap.check_equal(result.returncode, status,
                    f"status (errors {errors[-1500:]!r}, output {result.stdout[-600:]!r})")
    tap.check("doppel: " not in errors, f"doppel complains: {errors[-600:]}")
    return result.stdout


def run(root, program, *arguments, **options):
    return execute(words(root, program, *arguments), **options)


def run_native(program, *arguments, **options):
    """The same with the host's program of that name."""
    path = shutil.which(pathlib.Path(program).name)
    if not path:
        raise tap.Skip(f"the host has no {program}")
    return execute([path, *map(str, arguments)], **options)


def run_reference(root, program, *arguments, **options):
    """The same under qemu-riscv64."""
    if not shutil.which("qemu-riscv64"):
        raise tap.Skip("there is no qemu-riscv64")
    return execute(["qemu-riscv64", "-L", str(root), str(root / program), *map(str, arguments)],
                   **options)


def start(root, program, *arguments, **options):
    """A program that goes on in the background until the case is over."""
    process = subprocess.Popen(words(root, program, *arguments), stdin=subprocess.DEVNULL,
                               env=options.pop("env", None) or environment(),
                               cwd=options.pop("cwd", None) or scratch(), **options)

    def end():
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    tap.at_end(end)
    return process


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
