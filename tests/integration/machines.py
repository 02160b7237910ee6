# SPDX-License-Identifier: Apache-2.0
"""Machines in the background, as commands see them, in XDG folders of a test's own."""
import json
import os
import pathlib
import socket
import subprocess

import tap


class Machines:
    """The commands about machines; what is left of them is removed at the end of the case."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.runtime = folder / "run"
        self.data.mkdir()
        self.runtime.mkdir(mode=0o700)
        self.environment = dict(os.environ, XDG_DATA_HOME=str(self.data),
                                XDG_RUNTIME_DIR=str(self.runtime))
        tap.at_end(self.end)

    def start(self, *words, **extra):
        extra.setdefault("cwd", self.folder)
        return subprocess.Popen([str(tap.options.doppel), *map(str, words)],
                                stdin=extra.pop("stdin", subprocess.DEVNULL),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                errors="surrogateescape", env=self.environment, **extra)

    def run(self, *words, status=0, **extra):
        """Returns what the command printed, without the last line end."""
        process = self.start(*words, **extra)
        output, errors = process.communicate(timeout=60 * tap.slowness)
        tap.check_equal(process.returncode, status,
                        f"status of {words} (errors {errors!r}, output {output!r})")
        if status:
            tap.check_equal(errors.count("\n"), 1, f"lines of {words}: {errors!r}")
            return errors.rstrip("\n")
        tap.check_equal(errors, "", f"errors of {words}")
        return output.rstrip("\n")

    def fails(self, *words, status=1, says=()):
        """One line on standard error, which has these words."""
        errors = self.run(*words, status=status)
        for part in [says] if isinstance(says, str) else says:
            tap.check_in(part, errors, f"message of {words}")
        return errors

    def launch(self, name, *words):
        tap.check_equal(self.run("launch", "--name", name, *words), name, "what launch printed")

    def info(self, name):
        return json.loads(self.run("info", name, "-o", "json"))

    def state(self, name):
        return self.info(name)["state"]

    def pid(self, name):
        return self.info(name)["pid"]

    def home(self, name):
        return self.data / "doppel/machines" / name

    def sockets(self, name):
        return self.runtime / "doppel" / name

    def end(self):
        names = [path.name for path in (self.data / "doppel/machines").glob("*")]
        if names:
            subprocess.run([str(tap.options.doppel), "rm", "-f", *names], env=self.environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                           timeout=60)


class Control:
    """A client of the control protocol that knows nothing but lines of JSON."""

    def __init__(self, path, negotiate=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10 * tap.slowness)
        self.socket.connect(str(path))
        self.bytes = b""
        self.events = []
        tap.at_end(self.socket.close)
        if negotiate:
            tap.check("QMP" in self.receive(), "no greeting")
            tap.check_equal(self.call("qmp_capabilities"), {}, "negotiation")

    def receive(self):
        while b"\n" not in self.bytes:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.bytes += data
        line, self.bytes = self.bytes.split(b"\n", 1)
        return json.loads(line)

    def ask(self, command, **arguments):
        """The whole answer; events that come before it are kept."""
        message = {"execute": command}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        self.socket.sendall(json.dumps(message).encode())
        while True:
            answer = self.receive()
            if "event" not in answer:
                return answer
            self.events.append(answer["event"])

    def call(self, command, **arguments):
        answer = self.ask(command, **arguments)
        tap.check_in("return", answer, f"answer to {command}")
        return answer["return"]


def processes_with(word):
    """Processes whose command line or name has it."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found
