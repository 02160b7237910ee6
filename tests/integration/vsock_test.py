#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets between the host and a guest, and memory that comes back from it.

    vsock_test.py DOPPEL [--long] [--only REGEX]
"""
import contextlib
import json
import pathlib
import re
import socket
import threading
import time

import guests
import programs
import tap
from process import Doppel
from tap import case, check, check_equal, check_in

BOOT_S = 120
PATIENCE_S = 20
WORKLOADS = pathlib.Path(__file__).resolve().parent / "workloads"
MIB = 1 << 20


def start(modules, *arguments, memory="256M", **extra):
    """A machine whose shell waits."""
    program = programs.program((WORKLOADS / "net.c").read_text())
    initrd = guests.initramfs(modules, None, (f"{program}:/usr/bin/net",))
    machine = Doppel("--kernel", guests.kernel(), "--initrd", initrd, "--append", "quiet",
                     "--memory", memory, "--net", "none", *arguments, **extra)
    machine.expect("doppel: guest is ready", BOOT_S)
    machine.expect("# ")
    return machine


def with_vsock(folder, more=""):
    return start("vmw_vsock_virtio_transport", "--vsock", f"{folder / 'v.sock'}{more}")


def listen_in_guest(machine, port):
    machine.run(f"net vsock {port} >/tmp/{port} & "
                f"until grep -q listening /tmp/{port}; do :; done")


class Client:
    """A program of the host's that talks to a port of the guest's."""

    def __init__(self, folder, port):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(folder / "v.sock"))
        self.socket.sendall(f"CONNECT {port}\n".encode())
        tap.at_end(self.socket.close)

    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            byte = self.socket.recv(1)
            if not byte:
                return ""
            text += byte
        return text.decode()

    def read(self, size):
        text = bytearray()
        while len(text) < size:
            data = self.socket.recv(65536)
            if not data:
                break
            text += data
        return bytes(text)


class Listener:
    """Listens where a guest's connections arrive, and keeps what each sends."""

    def __init__(self, folder, port, answer=b""):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(f"{folder / 'v.sock'}_{port}")
        self.socket.listen(8)
        self.answer = answer
        self.received = b""
        self.ended = 0
        threading.Thread(target=self.accept, daemon=True).start()
        tap.at_end(self.socket.close)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.sendall(self.answer)
            while data := peer.recv(65536):
                self.received += data
        self.ended += 1


@case("the host connects to the guest, and bytes go both ways", limit_s=120)
def _(folder):
    machine = with_vsock(folder, ",cid=77")
    listen_in_guest(machine, 5000)
    client = Client(folder, 5000)
    check(client.line().startswith("OK "), "no OK")
    for text in (b"x", b"hello", bytes(range(256)) * 8000):
        sender = threading.Thread(target=client.socket.sendall, args=(text,))
        sender.start()
        check_equal(client.read(len(text)), text, "echo")
        sender.join()
    client.socket.shutdown(socket.SHUT_WR)
    check_equal(client.read(1), b"", "what follows the end")
    check_equal(Client(folder, 5001).line(), "", "answer of a port at which nobody listens")
    # Many at once, and half of them leave in the middle.
    clients = [Client(folder, 5000) for _ in range(40)]
    for number, client in enumerate(clients):
        check(client.line().startswith("OK "), f"no OK for {number}")
        client.socket.sendall(f"number {number}".encode())
    for client in clients[::2]:
        client.socket.close()
    for number in range(1, 40, 2):
        text = f"number {number}".encode()
        check_equal(clients[number].read(len(text)), text, "echo")
    machine.terminate()
    check(not (folder / "v.sock").exists(), "the socket is left")


@case("the guest connects to programs of the host, and is refused without", limit_s=120)
def _(folder):
    machine = with_vsock(folder)
    listener = Listener(folder, 7000, b"welcome")
    check_in("welcome", machine.run("net vsay 2 7000 hello"), "answer")
    tap.wait_until(lambda: listener.received == b"hello", 5, "the guest's words")
    check_in("put 3000000 bytes", machine.run("net vput 2 7000 3000000"), "stream")
    tap.wait_until(lambda: len(listener.received) == 3000005, 5, "the guest's bytes")
    tap.wait_until(lambda: listener.ended == 2, 5, "the ends of the connections")
    check_in("reset", machine.run("net vsay 2 7001 hello 2>&1; true"), "error of a closed port")
    check_in("connect", machine.run("net vsay 9 7000 hello 2>&1; true"), "error of another CID")


@case("clients that say nothing, rubbish, or leave harm nobody", limit_s=120)
def _(folder):
    machine = with_vsock(folder)
    listen_in_guest(machine, 5000)
    before = machine.descriptors()
    others = []
    for number in range(100):
        other = socket.socket(socket.AF_UNIX)
        other.connect(str(folder / "v.sock"))
        with contextlib.suppress(OSError):  # the oldest may be sent away
            other.sendall((b"", b"CONNECT", b"CONNECT x\n", b"GET / HTTP/1.0\r\n\r\n", b"\n" * 50,
                           b"CONNECT 4294967296\n", b"A" * 100, b"CONNECT 5000\n")[number % 8])
        others.append(other)
        if number % 3 == 0:
            other.close()
    client = Client(folder, 5000)
    check(client.line().startswith("OK "), "no OK while many say nothing")
    client.socket.sendall(b"still here")
    check_equal(client.read(10), b"still here", "echo")
    client.socket.close()
    for other in others:
        other.close()
    tap.wait_until(lambda: machine.descriptors() <= before, 5,
                   f"{before} descriptors as at first")


@case("64 who say nothing give way, the oldest first", limit_s=120)
def _(folder):
    machine = with_vsock(folder)
    listen_in_guest(machine, 5000)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(64)]
    for other in silent:
        other.connect(str(folder / "v.sock"))
    client = Client(folder, 5000)
    check(client.line().startswith("OK "), "no OK while 64 say nothing")
    silent[0].settimeout(PATIENCE_S)
    with contextlib.suppress(ConnectionResetError):
        check_equal(silent[0].recv(1), b"", "what the oldest gets before it is sent away")
    for other in [*silent, client.socket]:
        other.close()


@case("a reader that stops holds the guest up and costs no memory", limit_s=120)
def _(folder):
    machine = with_vsock(folder)
    listen_in_guest(machine, 5000)
    client = Client(folder, 5000)
    check(client.line().startswith("OK "), "no OK")
    before = machine.memory()
    client.socket.settimeout(1)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:  # the echo is not read
            sent += client.socket.send(bytes(65536))
    check(sent < 8 * MIB, f"{sent} bytes went nowhere")
    other = Client(folder, 5000)
    other.line()
    other.socket.sendall(b"others go on")
    check_equal(other.read(12), b"others go on", "echo")
    check(machine.memory() - before < 24 * MIB, "memory grew")
    client.socket.settimeout(PATIENCE_S)
    check_equal(len(client.read(sent)), sent, "bytes that came back at last")


@case("a socket in use, and bad words")
def _(folder):
    path = folder / "v.sock"
    for words in ([f"{path},cid=2"], [f"{path},cid=4294967295"], [f"{path},nonsense"], [",cid=3"],
                  ["x" * 120], [str(folder / "no/v.sock")]):
        machine = Doppel("--kernel", guests.kernel(), "--serial", "none", "--vsock", *words,
                         terminal=False)
        check_equal(machine.wait(), 2, f"status of {words}")
        check_in("--vsock", machine.errors(), "error")
    first = Doppel("--kernel", guests.kernel(), "--serial", "none", "--vsock", path, "-S",
                   terminal=False)
    tap.wait_for_listener(path)
    second = Doppel("--kernel", guests.kernel(), "--serial", "none", "--vsock", path,
                    terminal=False)
    check_equal(second.wait(), 2, "status of the second")
    check_in("in use", second.errors(), "error")
    first.terminate()


# ---- memory ----

class Monitor:
    """Control of a machine."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self.call("qmp_capabilities")
        tap.at_end(self.socket.close)

    def call(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "event" not in answer:
                return answer.get("return", answer.get("error"))


def settled(machine):
    """The resident size does not change any more."""
    sizes = [machine.memory()]
    for _ in range(4):
        time.sleep(0.4)
        sizes.append(machine.memory())
    return max(sizes) - min(sizes) < 2 * MIB


@case("memory that the guest frees goes back to the host", limit_s=180)
def _(folder):
    machine = start("virtio_balloon", memory="768M")
    tap.wait_until(lambda: settled(machine), 20, "the guest's first reports")
    before = machine.memory()
    for _ in range(2 if tap.options.long else 1):
        machine.run("net eat 400 1 >/tmp/a & until grep -q ate /tmp/a; do :; done")
        check(machine.memory() > before + 380 * MIB, "the memory is not there while it is used")
        machine.run("wait")
        begin = time.monotonic()
        tap.wait_until(lambda: machine.memory() < before + 40 * MIB, 30,
                       f"the memory's return to {before // MIB} MiB")
        tap.comment(f"returned after {time.monotonic() - begin:.1f} s")
    check_in("ok", machine.run("dd if=/dev/urandom of=/tmp/a bs=1M count=10 2>/dev/null; "
                               "cp /tmp/a /tmp/b; cmp /tmp/a /tmp/b && echo ok"), "comparison")


@case("a machine is asked to do with less memory, and gets it back", limit_s=180)
def _(folder):
    machine = start("virtio_balloon", "--qmp", f"unix:{folder / 'qmp'}", memory="512M")
    monitor = Monitor(folder / "qmp")
    check_equal(monitor.call("query-balloon"), {"actual": 512 * MIB}, "memory at first")

    def free_in_guest():
        text = machine.run("cat /proc/meminfo")
        return int(re.search(r"MemFree:\s+(\d+)", text).group(1)) * 1024
    before = free_in_guest()
    check_equal(monitor.call("balloon", value=256 * MIB), {}, "answer")
    tap.wait_until(lambda: monitor.call("query-balloon")["actual"] == 256 * MIB, 20, "the balloon")
    check(free_in_guest() < before - 240 * MIB, "the guest has its memory still")
    tap.wait_until(lambda: monitor.call("x-doppel-stats")["memory-free"] != 0, 10,
                   "the guest's figures")
    check_equal(monitor.call("x-doppel-set", **{"memory-target": 0}), {}, "answer")
    tap.wait_until(lambda: monitor.call("query-balloon")["actual"] == 512 * MIB, 20, "its end")
    tap.wait_until(lambda: free_in_guest() > before - 40 * MIB, 20, "the guest's memory")
    check_in("class", monitor.call("balloon", value=-1), "answer to nonsense")
    check_in("class", monitor.call("x-doppel-set", **{"memory-target": 5}), "answer to too little")
    # More than it can give: the guest lives on.
    monitor.call("balloon", value=MIB)
    time.sleep(2)
    check_in("alive", machine.run("echo alive"), "echo")
    monitor.call("balloon", value=512 * MIB)


def main():
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])


if __name__ == "__main__":
    main()
