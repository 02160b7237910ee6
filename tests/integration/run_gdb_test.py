#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gdb on Linux programs that `doppel run -g` runs.

    run_gdb_test.py DOPPEL [--long] [--only REGEX]
"""
import re
import shutil
import socket
import subprocess
import time

import programs
import tap
from tap import Skip, case, check, check_equal, check_in

GDB = "gdb-multiarch"
GDB_S = 40

PROGRAM = """
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int counter;
long twice;
volatile int caught;
static int counts[3];

int work(int n)
{
    counter += n;
    twice = counter * 2;
    return counter;
}

static void *spin(void *at)
{
    for (;;)
        __atomic_fetch_add((int *)at, 1, __ATOMIC_RELAXED);
}

static void on_signal(int signal) { caught = signal; }

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "segv"))
        *(volatile int *)16 = 1;
    if (!strcmp(what, "abort"))
        abort();
    if (!strcmp(what, "signal")) {
        signal(SIGUSR1, on_signal);
        raise(SIGUSR1);
        printf("caught %d\\n", caught);
    }
    if (!strcmp(what, "fork")) {
        if (fork() == 0) {
            work(100);
            _exit(counter == 100 ? 0 : 1);
        }
        int status;
        wait(&status);
        printf("child %d\\n", status);
    }
    if (!strcmp(what, "vfork")) {
        pid_t pid = vfork();
        if (pid == 0) {
            work(0);
            _exit(3);
        }
        int status;
        waitpid(pid, &status, 0);
        printf("child %d\\n", WEXITSTATUS(status));
    }
    if (!strcmp(what, "threads")) {
        pthread_t thread;
        for (int i = 0; i < 3; i++)
            pthread_create(&thread, 0, spin, &counts[i]);
        while (!counts[0] || !counts[1] || !counts[2])
            usleep(1000);
        work(7);
        pause();
    }
    for (int i = 0; i < 4; i++)
        printf("%d\\n", work(i));
    return 7;
}
"""


class Debugged:
    """A program with its socket for gdb."""

    def __init__(self, folder, *words, options=(), linking=()):
        self.folder = folder
        self.path = folder / "gdb"
        self.process = subprocess.Popen(
            [tap.options.doppel, "run", "-g", f"unix:{self.path}", *options,
             programs.program(PROGRAM, *linking), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        tap.at_end(self.end)
        tap.wait_for_listener(self.path)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def gdb(self, *commands):
        """Runs the commands behind the connection; gdb is told nothing else."""
        if not shutil.which(GDB):
            raise Skip(f"{GDB} is not installed")
        words = [GDB, "-q", "-nx", "-batch", "-ex", "set confirm off", "-ex",
                 "set pagination off", "-ex", f"target remote {self.path}"]
        for command in commands:
            words += ["-ex", command]
        result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False,
                                timeout=GDB_S * tap.slowness, cwd=self.folder)
        text = result.stdout.decode(errors="replace")
        for bad in ("Remote connection closed", "Ignoring packet error", "Truncated register"):
            check(bad not in text, text)
        return text

    def finish(self):
        """What the program printed, and its status."""
        text, _ = self.process.communicate(timeout=20 * tap.slowness)
        return text, self.process.returncode


class Client:
    """The protocol without gdb."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.bytes = b""
        tap.at_end(self.socket.close)

    def send(self, text):
        self.socket.sendall(b"$%s#%02x" % (text, sum(text) & 0xff))

    def receive(self):
        while True:
            match = re.search(rb"\$([^#]*)#..", self.bytes)
            if match:
                self.bytes = self.bytes[match.end():]
                self.socket.sendall(b"+")
                return match.group(1)
            more = self.socket.recv(65536)
            check(more, "the connection was closed")
            self.bytes += more

    def ask(self, text):
        self.send(text)
        return self.receive()


@case("gdb finds program, symbols and stack by itself, stops and goes on")
def _(folder):
    program = Debugged(folder)
    text = program.gdb("break work", "continue", "backtrace", "print n", "continue", "finish",
                       "delete", "continue")
    check_in("Breakpoint 1, work (n=0)", text, "the first stop")
    check_in("in main (argc=1,", text, "the backtrace")
    check_in("Breakpoint 1, work (n=1)", text, "the second stop")
    check_in("Value returned is $2 = 1", text, "finish")
    check_in("exited with code 07", text, "the end")
    check_equal(program.finish(), ("0\n1\n3\n6\n", 7), "the program")


@case("a program with shared libraries: gdb reads them through the connection")
def _(folder):
    if not (programs.SYSROOT / "lib").exists():
        raise Skip("there are no libraries for riscv64")
    program = Debugged(folder, options=["-L", programs.SYSROOT], linking=["-shared-libgcc"])
    text = program.gdb("break work", "continue", "info sharedlibrary", "kill")
    check_in("Breakpoint 1, work (n=0)", text, "the stop")
    check(re.search(r"Yes.*libc\.so\.6", text), text)


@case("watchpoints tell old and new value")
def _(folder):
    program = Debugged(folder)
    text = program.gdb("break work if n == 2", "continue", "watch twice", "continue", "kill")
    check_in("Old value = 2", text, "the watchpoint")
    check_in("New value = 6", text, "the watchpoint")


@case("gdb sees a fault before the program dies of it")
def _(folder):
    program = Debugged(folder, "segv")
    text = program.gdb("continue", "backtrace 1", "continue")
    check_in("received signal SIGSEGV", text, "the stop")
    check_in("in main (argc=2", text, "the place")
    check_in("terminated with signal SIGSEGV", text, "the end")
    check_equal(program.finish()[1], -11, "the status")


@case("gdb sees a signal whose default is the end")
def _(folder):
    text = Debugged(folder, "abort").gdb("continue", "backtrace", "kill")
    check_in("received signal SIGABRT", text, "the stop")
    check_in("in main (argc=2", text, "the backtrace")


@case("a signal can be taken away, or passes without a stop")
def _(folder):
    for number, (commands, stops, wanted) in enumerate([
            (["continue", "continue"], True, "caught 10"),
            (["continue", "signal 0"], True, "caught 0"),
            (["handle SIGUSR1 nostop noprint pass", "continue"], False, "caught 10")]):
        inner = folder / str(number)
        inner.mkdir()
        program = Debugged(inner, "signal")
        text = program.gdb(*commands)
        check_equal("received signal SIGUSR1" in text, stops, "whether gdb stopped")
        check_in(wanted, program.finish()[0], "the program")


@case("threads appear, stop together and are stepped one by one")
def _(folder):
    program = Debugged(folder, "threads")
    text = program.gdb("break work", "continue", "info threads", "thread 3",
                       "set scheduler-locking on", "print counts[0]", "stepi 20",
                       "print counts[0]", "thread 1", "kill")
    check_in("work (n=7)", text, "the stop")
    for number in range(2, 5):
        check(re.search(rf"^ +{number} +Thread {number} .* spin ", text, re.M), text)
    values = re.findall(r"^\$\d = (\d+)$", text, re.M)
    check_equal(values[0], values[1], "what another thread counted while one was stepped")


@case("Ctrl-C stops a program that runs or sleeps; a step is one instruction")
def _(folder):
    program = Debugged(folder, "threads")
    client = Client(program.path)
    check(client.ask(b"?").startswith(b"T05"), "the first stop")
    client.send(b"vCont;c")
    time.sleep(1)
    client.socket.sendall(b"\x03")
    check(client.receive().startswith(b"T02"), "the interrupt")
    check_equal(client.ask(b"qfThreadInfo"), b"m1,2,3,4", "threads")
    before = client.ask(b"Hg2") and client.ask(b"p20")
    check(client.ask(b"vCont;s:2").startswith(b"T05"), "the step")
    check(client.ask(b"p20") != before, "the pc has not moved")


@case("what sleeps in a system call cannot be written to, what runs can")
def _(folder):
    program = Debugged(folder, "threads")
    client = Client(program.path)
    client.ask(b"?")
    client.send(b"vCont;c")
    time.sleep(1)
    client.socket.sendall(b"\x03")
    client.receive()

    def write(thread):
        client.ask(b"Hg%d" % thread)
        return client.ask(b"P5=0100000000000000")

    check_equal(write(1), b"E10", "the thread that waits for others")
    # On a busy host the other has not got to its loop yet.
    for _ in range(20):
        answer = write(2)
        if answer == b"OK":
            break
        client.send(b"vCont;c")
        time.sleep(1)
        client.socket.sendall(b"\x03")
        client.receive()
    check_equal(answer, b"OK", "the thread that counts")


@case("children of fork and vfork run past breakpoints")
def _(folder):
    for number, (kind, wanted) in enumerate([("fork", "child 0"), ("vfork", "child 3")]):
        inner = folder / str(number)
        inner.mkdir()
        program = Debugged(inner, kind)
        text = program.gdb("break work", "continue", "print counter", "delete", "continue")
        check_in("work (n=0)", text, "the stop of the parent")
        output, status = program.finish()
        check_in(wanted, output, "the child")
        check_equal(status, 7, "the parent's status")


@case("gdb that leaves lets the program go on; another may come")
def _(folder):
    program = Debugged(folder, "threads")
    client = Client(program.path)
    client.ask(b"?")
    check_equal(client.ask(b"D"), b"OK", "detach")
    client.socket.close()
    time.sleep(0.5)
    again = Client(program.path)
    check(again.ask(b"?").startswith(b"T02"), "the second client")
    again.send(b"vKill;1")
    again.receive()
    check_equal(program.finish()[1], -9, "the status")


@case("gdb that vanishes at the start lets the program run")
def _(folder):
    program = Debugged(folder)
    Client(program.path).socket.close()
    check_equal(program.finish(), ("0\n1\n3\n6\n", 7), "the program")


if __name__ == "__main__":
    tap.main(__doc__.splitlines()[0])
