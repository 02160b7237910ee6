# SPDX-License-Identifier: Apache-2.0
"""A running doppel, on a pseudo terminal or on pipes."""
import fcntl
import os
import pathlib
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

import tap

EXPECT_S = 60
EXIT_S = 20
ROWS, COLUMNS = 32, 100


def set_window_size(fd, rows=ROWS, columns=COLUMNS):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def new_session_on(fd):
    """For the child: the terminal becomes its controlling one."""
    def prepare():
        os.setsid()
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    return prepare


def descriptors_of(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        raise tap.Skip("processes that do not dump core hide their descriptors from users") from None


class Doppel:
    """`doppel boot ARGUMENTS`. With terminal=True its standard input and output
    are a pseudo terminal, whose user is the test; otherwise output is a pipe."""

    def __init__(self, *arguments, terminal=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                 command="boot", **extra):
        words = [str(tap.options.doppel), command, *map(str, arguments)]
        self.output = bytearray()
        self.taken = 0  # how much of it was expected already
        self.errors_file = tempfile.TemporaryFile()
        self.slave = None
        if terminal:
            self.fd, self.slave = pty.openpty()
            set_window_size(self.fd)
            self.settings = termios.tcgetattr(self.slave)
            stdin = stdout = self.slave
            extra.setdefault("preexec_fn", new_session_on(self.slave))
        self.process = subprocess.Popen(words, stdin=stdin, stdout=stdout,
                                        stderr=self.errors_file, **extra)
        self.pid = self.process.pid
        if not terminal:
            self.fd = self.process.stdout.fileno() if self.process.stdout else None
        if self.fd is not None:
            os.set_blocking(self.fd, False)
        tap.at_end(self.end)

    # ---- what it prints ----

    def errors(self):
        # Where a file is read from, whoever still writes to it would go on writing.
        size = os.fstat(self.errors_file.fileno()).st_size
        return os.pread(self.errors_file.fileno(), size, 0).decode(errors="replace")

    def read(self, wait_s=0.0):
        """Takes what there is. False: the output is at its end."""
        if self.fd is None or not select.select([self.fd], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.output += data
        return bool(data)

    def expect(self, pattern, limit_s=EXPECT_S):
        """Waits until the regular expression matches what was not yet taken."""
        regex = re.compile(pattern if isinstance(pattern, bytes) else pattern.encode(), re.S)
        end = time.monotonic() + limit_s * tap.slowness
        while True:
            match = regex.search(self.output, self.taken)
            if match:
                self.taken = match.end()
                return match
            more = self.read(min(0.2, max(0.0, end - time.monotonic())))
            ended = not more or (self.fd is None or self.process.poll() is not None)
            if ended:
                while self.read() and select.select([self.fd], [], [], 0)[0]:
                    pass
                match = regex.search(self.output, self.taken)
                if match:
                    self.taken = match.end()
                    return match
            tap.check(not ended and time.monotonic() < end,
                      f"{'ended' if ended else f'{limit_s} s passed'} without {pattern!r}; "
                      f"last output: {bytes(self.output[-600:])!r}; errors: {self.errors()!r}")

    # ---- what the user does ----

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        fd = self.process.stdin.fileno() if self.process.stdin else self.fd
        while data:
            data = data[os.write(fd, data):]

    def type(self, line):
        """As a person does: a key after the other."""
        for character in line + "\r":
            self.send(character)
            self.read(0.01)

    def run(self, command, limit_s=EXPECT_S):
        """A command in the guest's shell; returns its output once it succeeded."""
        # The shell's own echo has "$?" where the output has digits.
        self.type(f"echo begin-$?-; {command}; echo end-$?-")
        match = self.expect(r"begin-\d+-\r+\n(.*?)end-(\d+)-", limit_s)
        text = match.group(1).decode(errors="replace").replace("\r", "")
        tap.check_equal(int(match.group(2)), 0, f"status of {command!r} (output {text!r})")
        self.expect("# ")
        return text

    def kill(self, number):
        os.kill(self.pid, number)

    # ---- what the host sees ----

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.pid}/{name}").read_text()

    def memory(self):
        """Resident bytes, without those of mapped files."""
        match = re.search(r"RssAnon:\s+(\d+) kB", self.proc("status"))
        return int(match.group(1)) * 1024

    def descriptors(self):
        return len(descriptors_of(self.pid))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def cpu_seconds(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_alive(self):
        return self.process.poll() is None

    # ---- its end ----

    def wait(self, limit_s=EXIT_S):
        """The exit status (128 + n for signal n); takes all output meanwhile."""
        end = time.monotonic() + limit_s * tap.slowness
        while self.process.poll() is None:
            tap.check(time.monotonic() < end, f"did not end within {limit_s} s; last output: "
                      f"{bytes(self.output[-600:])!r}; errors: {self.errors()!r}")
            if not self.read(0.02):
                time.sleep(0.02)
        while self.fd is not None and select.select([self.fd], [], [], 0)[0]:
            size = len(self.output)
            if not self.read() or len(self.output) == size:
                break
        status = self.process.returncode
        return 128 - status if status < 0 else status

    def check_exit(self, wanted, limit_s=EXIT_S):
        status = self.wait(limit_s)
        tap.check_equal(status, wanted, f"exit status (errors {self.errors()!r}, last output "
                        f"{bytes(self.output[-300:])!r})")

    def terminate(self, limit_s=1.0, number=signal.SIGTERM):
        """Must obey within the limit."""
        start = time.monotonic()
        self.kill(number)
        self.check_exit(128 + number, limit_s=max(limit_s, 10))
        took = time.monotonic() - start
        tap.check(took <= limit_s * tap.slowness, f"took {took:.2f} s to obey signal {number}")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        if self.slave is not None:
            os.close(self.slave)
            os.close(self.fd)
            self.slave = None
        self.errors_file.close()


def no_core_dumps():
    """Deadly signals sent on purpose must not litter the working folder."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
