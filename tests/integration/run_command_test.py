#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line of `doppel run`, its drop-in for qemu-riscv64, what programs see of
themselves in /proc, and the sandbox, from outside.

    run_command_test.py DOPPEL [--long] [--only REGEX]
"""
import os
import re
import subprocess
import time

import programs
import tap
from programs import run
from tap import Skip, case, check, check_equal, check_in

# Prints words and environment; "exit N", "kill N", "exec PATH WORD...", "cat PATH",
# "link PATH", "relative FOLDER NAME", "sleep" do what they say.
PROGRAM = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int cat(int fd)
{
    char bytes[4096];
    long count;

    if (fd < 0) {
        printf("error %d\\n", errno);
        return 1;
    }
    while ((count = read(fd, bytes, sizeof(bytes))) > 0)
        fwrite(bytes, 1, count, stdout);
    return 0;
}

int main(int argc, char **argv, char **envp)
{
    const char *what = argc > 1 ? argv[1] : "";
    char target[4096] = "";

    if (!strcmp(what, "exit"))
        return atoi(argv[2]);
    if (!strcmp(what, "kill"))
        raise(atoi(argv[2]));
    if (!strcmp(what, "exec")) {
        execve(argv[2], argv + 3, envp);
        printf("error %d\\n", errno);
        return 1;
    }
    if (!strcmp(what, "cat"))
        return cat(open(argv[2], O_RDONLY));
    if (!strcmp(what, "relative"))
        return cat(openat(open(argv[2], O_RDONLY | O_DIRECTORY), argv[3], O_RDONLY));
    if (!strcmp(what, "write"))
        return open(argv[2], O_WRONLY | O_CREAT, 0644) < 0 ? errno : 0;
    if (!strcmp(what, "link")) {
        long size = readlink(argv[2], target, sizeof(target) - 1);
        printf("%s\\n", size < 0 ? "error" : target);
        return 0;
    }
    if (!strcmp(what, "maps")) {
        char *two = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(two, 4096, PROT_READ | PROT_EXEC);
        malloc(100);
        printf("%lx %lx\\n", (long)two, (long)main);
        fflush(stdout);
        return cat(open("/proc/self/maps", O_RDONLY));
    }
    if (!strcmp(what, "sleep")) {
        puts("ready");
        fflush(stdout);
        for (;;)
            pause();
    }
    for (int i = 0; i < argc; i++)
        printf("%d: %s\\n", i, argv[i]);
    for (; *envp; envp++)
        if (!strncmp(*envp, "TEST", 4))
            puts(*envp);
    return 0;
}
"""


def guest(*words, options=(), **more):
    return run("run", *options, programs.program(PROGRAM), *words, **more)


def output(*words, options=(), **more):
    result = guest(*words, options=options, **more)
    check_equal(result.stderr, "", "stderr")
    return result.stdout


# ---- words and statuses ----

@case("options end at the first word that is none, or at --")
def _(folder):
    path = programs.program(PROGRAM)
    check_equal(output("-0", "--strace"), f"0: {path}\n1: -0\n2: --strace\n", "words")
    result = run("run", "-0", "name", "--", path, "--")
    check_equal(result.stdout, "0: name\n1: --\n", "words")


@case("-E and -U change the environment in their order")
def _(folder):
    text = output(options=["-E", "TEST1=a=b", "--set-env=TEST2=", "-UTEST3", "-E", "TEST4=x",
                           "--unset-env", "TEST4"], env={**os.environ, "TEST3": "y"})
    check_equal(text.split("\n")[1:3], ["TEST1=a=b", "TEST2="], "environment")
    check("TEST3" not in text and "TEST4" not in text, text)


@case("the program's status is ours; so is its signal")
def _(folder):
    check_equal(guest("exit", "42").returncode, 42, "status")
    check_equal(guest("kill", "15").returncode, -15, "status")
    check_equal(guest("kill", "11").returncode, -11, "status")


@case("statuses of what did not start: 127, 126, 2; one line each")
def _(folder):
    text = folder / "text"
    text.write_text("no program")
    text.chmod(0o755)
    plain = folder / "plain"
    plain.write_bytes(programs.program(PROGRAM).read_bytes())
    plain.chmod(0o644)
    for words, status, reason in [
            (["no-such-program"], 127, "no-such-program"),
            ([folder / "nothing"], 127, "nothing"),
            ([text], 126, "text"),
            ([folder], 126, str(folder)),
            ([], 2, "which program"),
            (["--nonsense", "x"], 2, "unknown option '--nonsense'"),
            (["-E", "x", "y"], 2, "NAME=VALUE"),
            (["-v", "a:/b", "y"], 2, "--sandbox"),
            (["--sandbox", "-v", "a:b", "y"], 2, "below /"),
            (["-L", folder / "nothing", "y"], 2, "sysroot"),
            (["-g", "nowhere", programs.program(PROGRAM)], 126, "tcp:ADDRESS:PORT")]:
        result = run("run", *words)
        check_in(reason, result.stderr, f"{words}")
        check_equal(len(result.stderr.splitlines()), 1, f"lines of {result.stderr!r}")
        check_equal((result.returncode, result.stdout), (status, ""), f"{words}")


# ---- programs that execute programs ----

@case("a program that is executed is run as its parent was")
def _(folder):
    path = programs.program(PROGRAM)
    check_equal(output("exec", path, "other name", "-0", "--"), "0: other name\n1: -0\n2: --\n",
                "words")
    check_equal(output("exec", path, "a", "exec", "/proc/self/exe", "b", "c"), "0: b\n1: c\n",
                "words of the second")
    result = guest("exec", path, "a", options=["--log", "error", "--engine", "interp"])
    check_equal(result.stdout, "0: a\n", "words with options")


@case("the sysroot is inherited, also by an environment that does not name it")
def _(folder):
    if not (programs.SYSROOT / "lib").exists():
        raise Skip("there are no libraries for riscv64")
    path = programs.program(PROGRAM, "-shared-libgcc")
    result = run("run", "-U", "DOPPEL_SYSROOT", path, "exec", path, "inner",
                 env={**os.environ, "DOPPEL_SYSROOT": str(programs.SYSROOT)})
    check_equal((result.stdout, result.stderr), ("0: inner\n", ""), "the inner program")


# ---- the drop-in ----

@case("called qemu-riscv64, doppel takes that program's options and variables")
def _(folder):
    name = folder / "qemu-riscv64-static"
    name.symlink_to(tap.options.doppel)
    path = programs.program(PROGRAM)

    def qemu(*words, **variables):
        return subprocess.run([name, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=30,
                              env={**os.environ, **variables}, cwd=path.parent)

    result = qemu("-0", "zero", "-E", "TEST1=a,TEST2=b", "-cpu", "rv64", "-s", "8388608", path,
                  "-x")
    check_equal((result.stdout, result.stderr), ("0: zero\n1: -x\nTEST1=a\nTEST2=b\n", ""), "words")
    result = qemu(path.name, QEMU_SET_ENV="TEST1=c", QEMU_STRACE="")
    check_equal(result.stdout, f"0: {path.name}\nTEST1=c\n", "a name without a slash")
    check_in("write(", result.stderr, "QEMU_STRACE")
    result = qemu("-plugin", "x", "-one-insn-per-tb", path)
    check_equal(result.stdout, f"0: {path}\n", "ignored options")
    check_in("-plugin is ignored", result.stderr, "a warning")
    check_equal(qemu(path, "exec", path, "inner", "-x").stdout, "0: inner\n1: -x\n", "execve")
    check_in("doppel", qemu("-version").stdout, "the version")
    check_equal(qemu("-nonsense", path).returncode, 2, "an unknown option")


@case("binfmt prints what the kernel wants")
def _(folder):
    result = run("binfmt")
    check(re.fullmatch(r":doppel-riscv64:M::(\\x[0-9a-f]{2}){20}:(\\x[0-9a-f]{2}){20}:/.*:OCPF\n",
                       result.stdout), result.stdout)
    check_equal(run("binfmt", "--nonsense").returncode, 2, "an unknown option")


# ---- /proc ----

@case("/proc/self tells about the program")
def _(folder):
    path = str(programs.program(PROGRAM))
    check_equal(output("link", "/proc/self/exe"), path + "\n", "exe")
    name = os.path.basename(path)[:15]
    check_equal(output("cat", "/proc/self/cmdline"), f"{path}\0cat\0/proc/self/cmdline\0",
                "cmdline")
    check_equal(output("cat", "/proc/self/comm"), name + "\n", "comm")
    check_in(f"({name}) R", output("cat", "/proc//thread-self/./stat"), "stat")
    check_in(f"Name:\t{name}\n", output("cat", "/proc/self/status"), "status")
    check_in("isa\t\t: rv64imafdc", output("cat", "/proc/cpuinfo"), "cpuinfo")
    check_equal(output("relative", "/proc/self", "cmdline").count("\0"), 4, "openat")
    check(output("cat", "/proc/self/environ").startswith(next(iter(os.environ)) + "="), "environ")
    check_equal(guest("cat", "/proc/self/mem").stdout, "error 13\n", "mem")
    check_equal(output("cat", "/proc/self/smaps").count("VmFlags"),
                output("cat", "/proc/self/maps").count("\n"), "smaps")


@case("maps has the program's permissions and names, and nothing of ours")
def _(folder):
    lines = output("maps").splitlines()
    anonymous, code = lines[0].split()
    maps = [line.split(None, 5) for line in lines[1:]]
    ranges = {line[0].split("-")[0]: line for line in maps}
    check_equal(ranges[anonymous.rjust(8, "0")][1], "r-xp", "what mprotect made executable")
    for name in ("[heap]", "[stack]", "[vdso]"):
        check_equal([line[5] for line in maps if line[-1] == name], [name], name)
    inside = [line for line in maps
              if int(line[0].split("-")[0], 16) <= int(code, 16) < int(line[0].split("-")[1], 16)]
    check_equal([line[1] for line in inside], ["r-xp"], "the code")
    check_equal(inside[0][5], str(programs.program(PROGRAM)), "the code's file")
    check(all(int(line[0].split("-")[1], 16) <= 1 << 38 for line in maps), "addresses")
    check(not any("doppel" in line[-1] for line in maps if "doppel-programs" not in line[-1]), maps)


@case("others see the program's name and words, not ours")
def _(folder):
    path = programs.program(PROGRAM)
    with subprocess.Popen([tap.options.doppel, "run", path, "sleep", "a b"],
                          stdout=subprocess.PIPE, text=True) as process:
        tap.at_end(process.kill)
        check_equal(process.stdout.readline(), "ready\n", "the program")
        pid = process.pid
        check_equal(open(f"/proc/{pid}/cmdline").read(), f"{path}\0sleep\0a b\0", "cmdline")
        check_equal(open(f"/proc/{pid}/comm").read(), path.name[:15] + "\n", "comm")
        check_equal(output("link", f"/proc/{pid}/exe"), f"{path}\n", "exe, for another program")
        process.kill()


# ---- the sandbox ----

def sandboxed(*words, options=(), **more):
    result = guest(*words, options=["--sandbox", *options], **more)
    if "namespaces" in result.stderr:
        raise Skip(result.stderr.strip())
    return result


@case("a sandboxed program has its own file and what -v names")
def _(folder):
    (folder / "file").write_text("inside\n")
    (folder / "secret").write_text("outside\n")
    (folder / "writable").mkdir()
    shares = ["-v", f"{folder}/file:/data/file:ro", "-v", f"{folder}/writable:/out"]
    check_equal(sandboxed("cat", "/data/file", options=shares).stdout, "inside\n", "a share")
    check_equal(sandboxed("cat", folder / "secret", options=shares).stdout, "error 2\n", "the host")
    check_equal(sandboxed("cat", "/etc/passwd", options=shares).stdout, "error 2\n", "the host")
    check(sandboxed("write", "/data/file", options=shares).returncode != 0, "a share to read")
    check_equal(sandboxed("write", "/out/new", options=shares).returncode, 0, "a share to write")
    check((folder / "writable/new").exists(), "what was written is not outside")
    check_equal(sandboxed("exit", "9").returncode, 9, "the status")
    check_equal(sandboxed("kill", "15").returncode, -15, "the status")


@case("programs of a sysroot execute each other in the sandbox")
def _(folder):
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    (root / "srv").mkdir()
    (root / "usr").symlink_to(".")
    (root / "bin/program").write_bytes(programs.program(PROGRAM).read_bytes())
    (root / "bin/program").chmod(0o755)
    result = run("run", "--sandbox", "-L", root, "-v", f"{folder}:/srv/share", "/usr/bin/program",
                 "exec", "/bin/program", "inner", "link", "/proc/self/exe")
    if "namespaces" in result.stderr:
        raise Skip(result.stderr.strip())
    check_equal((result.stdout, result.stderr), ("/bin/program\n", ""), "the inner program")
    result = run("run", "--sandbox", "-L", root, "/bin/program", "write", "/bin/new")
    check_equal(result.returncode, 30, "writing to the sysroot")


@case("signals reach the program in the sandbox; nothing is left when it has ended")
def _(folder):
    sandboxed("exit", "0")
    words = [tap.options.doppel, "run", "--sandbox", programs.program(PROGRAM), "sleep"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        tap.at_end(process.kill)
        check_equal(process.stdout.readline(), "ready\n", "the program")
        process.terminate()
        check_equal(process.wait(timeout=10), -15, "the status")
        check_equal(process.stdout.read(), "", "the end of output: nobody holds it")
    words = [tap.options.doppel, "run", "--sandbox", programs.program(PROGRAM), "sleep"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.kill()
        start = time.monotonic()
        check_equal(process.stdout.read(), "", "the end of output")
        check(time.monotonic() - start < 5, "the program outlived doppel")


@case("a sandbox that cannot be made is an error")
def _(folder):
    sandboxed("exit", "0")
    for options, reason in [(["-v", f"{folder}/nothing:/x"], "nothing"),
                            (["-v", f"{folder}:/proc/x"], "/proc/x")]:
        result = sandboxed("exit", "0", options=options)
        check_in(reason, result.stderr, "the reason")
        check_equal(result.returncode, 125, "the status")
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    tap.at_end(lambda: os.close(root))
    result = sandboxed("exit", "0", stdin=root)
    check_in("descriptor 0 is a folder", result.stderr, "the reason")
    check_equal(result.returncode, 125, "the status")
    check_equal(run("run", "--sandbox", "-g", "1", "x").returncode, 2, "with gdb")


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
