#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks of machines, from the guest's and from the host's side.

    net_test.py DOPPEL [--long] [--only REGEX]
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import guests
import programs
import tap
from machines import Control, Machines
from process import Doppel, descriptors_of
from tap import case, check, check_equal, check_in

BOOT_S = 120
WORKLOADS = pathlib.Path(__file__).resolve().parent / "workloads"
PATIENCE_S = 20
# What busybox's DHCP client calls.
DHCP_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev $interface
ip route add default via $router
echo nameserver $dns >/etc/resolv.conf
echo "lease: $ip $router $dns $hostname"
"""


def guest_program():
    return programs.program((WORKLOADS / "net.c").read_text())


def initrd(folder, command=None):
    script = guests.scratch() / "dhcp.sh"
    if not script.exists():
        script.write_text(DHCP_SCRIPT)
        script.chmod(0o755)
    return guests.initramfs("virtio_net", command, (f"{guest_program()}:/usr/bin/net",
                                                 f"{script}:/usr/bin/dhcp"))


def start(folder, *arguments, **extra):
    """A machine whose shell waits."""
    machine = Doppel("--kernel", guests.kernel(), "--initrd", initrd(folder), "--append", "quiet",
                     "--memory", "256M", *arguments, **extra)
    machine.expect("doppel: guest is ready", BOOT_S)
    machine.expect("# ")
    return machine


def use_dhcp(machine):
    """Returns what the lease says."""
    machine.run("ip link set eth0 up")
    text = machine.run("udhcpc -i eth0 -q -s /usr/bin/dhcp 2>&1")
    return re.search(r"lease: (.*)", text).group(1).split()


def children(pid):
    """All that a process has started, and what these have."""
    with contextlib.suppress(OSError):
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from children(child)


def helpers(machine):
    """The doppel-net processes of a machine."""
    return helpers_of(machine.pid)


def helpers_of(process):
    found = []
    for pid in children(process):
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "doppel-net":
                found.append(pid)
    return found


def need_user_net():
    folder = tap.options.doppel.parent
    if not (folder / "doppel-net").exists():
        raise tap.Skip("doppel-net is not built: libslirp is missing")


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """On the host's loopback: "N\\n" is answered by N bytes, all else is counted."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.received = 0
        threading.Thread(target=self.accept, daemon=True).start()
        tap.at_end(self.socket.close)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with contextlib.suppress(OSError), peer:
            data = peer.recv(1 << 20)
            if re.fullmatch(rb"\d+\n", data):
                peer.sendall(bytes(int(data)))
                return
            while data:
                self.received += len(data)
                data = peer.recv(1 << 20)


def ask_tcp(port, text, host="127.0.0.1"):
    with socket.create_connection((host, port), timeout=PATIENCE_S) as peer:
        peer.sendall(text)
        answer = b""
        while len(answer) < len(text):
            data = peer.recv(65536)
            if not data:
                break
            answer += data
        return answer


def ask_udp(port, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(1)
        for _ in range(PATIENCE_S):
            peer.sendto(text, ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError):
                return peer.recv(65536)
    return None


# ---- user ----

@case("user: the guest gets its lease, pings the gateway, and streams both ways", limit_s=180)
def _(folder):
    need_user_net()
    server = Server()
    machine = start(folder, "--net", "user", "--name", "web")
    check_equal(helpers(machine), [], "helpers before the guest uses its network")
    check_equal(use_dhcp(machine), ["10.0.2.15", "10.0.2.2", "10.0.2.3", "web"], "lease")
    check_in("2 packets received", machine.run("ping -c 2 -A 10.0.2.2"), "ping")
    text = machine.run(f"net get 10.0.2.2 {server.port} 30000000")
    check_in("got 30000000 bytes", text, "stream to the guest")
    machine.run(f"net put 10.0.2.2 {server.port} 30000000")
    tap.wait_until(lambda: server.received == 30000000, 5, "all bytes of the guest's")
    machine.run("until ip -6 addr show dev eth0 | grep -q fec0::; do usleep 100000; done")
    machine.run("while ip -6 addr show dev eth0 | grep -q tentative; do usleep 100000; done")
    check_in("1 packets received", machine.run("ping6 -c 1 fec0::2"), "ping by IPv6")
    (helper,) = helpers(machine)
    fds = descriptors_of(helper)
    check(len(fds) < 10, f"descriptors of the helper: {fds}")
    machine.terminate()
    tap.wait_until(lambda: not pathlib.Path(f"/proc/{helper}").exists(), 2, "the helper's end")


@case("user: published ports of TCP and UDP lead to the guest, on the loopback only",
      limit_s=180)
def _(folder):
    need_user_net()
    tcp, udp = free_port(), free_port(socket.SOCK_DGRAM)
    machine = start(folder, "-p", f"{tcp}:7", "--publish", f"127.0.0.1:{udp}:9/udp")
    use_dhcp(machine)
    machine.run("net tcp 7 >/tmp/tcp & net udp 9 >/tmp/udp & "
                "until grep -q listening /tmp/tcp && grep -q listening /tmp/udp; do :; done")
    for text in (b"hello", bytes(range(256)) * 4000):
        check_equal(ask_tcp(tcp, text), text, "answer of the guest")
    check_equal(ask_udp(udp, b"datagram"), b"datagram", "answer by UDP")
    listening = subprocess.run(["ss", "-Hltun"], capture_output=True, text=True, check=False).stdout
    check(f"0.0.0.0:{tcp} " not in listening, "the port is open to everybody")


@case("user: ports come and go while the machine runs, by IPv4 and IPv6, and are kept",
      limit_s=180)
def _(folder):
    need_user_net()
    machines = Machines(folder)
    first, second, last = free_port(), free_port(), free_port()
    machines.launch("web", guests.kernel(), "--initrd", initrd(folder, PORTS_COMMAND),
                    "--append", "quiet", "--memory", "256M", "-p", f"{first}:7", "--wait", "0")
    tap.wait_until(lambda: port_answers(first), BOOT_S, "the first port's answer")
    machines.run("set", "web", "-p", f"{second}:7")
    check_equal(ask_tcp(second, b"hello"), b"hello", "answer by the second port")
    machines.run("set", "web", "-p", f"[::1]:{first}:7")
    tap.wait_until(lambda: port_answers(first, "::1"), 10, "the answer by IPv6")
    machines.fails("set", "web", "-p", f"{first}:8", says="published already")
    machines.fails("set", "web", "--unpublish", "9", says="not published")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        machines.fails("set", "web", "-p", f"{taken.getsockname()[1]}:7", says="in use")
    machines.fails("set", "web", "-p", "7", status=2, says="8080:80")
    machines.fails("set", "web", "--unpublish", "1:2:3", status=2, says="[ADDR:]HOST")

    wanted = [f"127.0.0.1:{first}->7/tcp", f"127.0.0.1:{second}->7/tcp", f"[::1]:{first}->7/tcp"]
    check_equal(machines.info("web")["ports"], wanted, "ports")
    check_in(", ".join(wanted), machines.run("ls"), "list")
    check_in(wanted[2], machines.run("info", "web"), "what info says")
    monitor = Control(machines.sockets("web") / "qmp.sock")
    check_equal(monitor.call("x-doppel-query-ports")[2],
                {"host-address": "::1", "host-port": first, "guest-port": 7, "protocol": "tcp"},
                "the third port")

    # A connection outlives its port.
    with socket.create_connection(("127.0.0.1", second), timeout=PATIENCE_S) as peer:
        peer.sendall(b"before")
        check_equal(peer.recv(100), b"before", "answer")
        machines.run("set", "web", "--unpublish", str(second), "-p", f"{last}:7/udp")
        peer.sendall(b"after")
        check_equal(peer.recv(100), b"after", "answer")
    check(not port_answers(second), "a port that was taken away is there")

    helper = helpers_of(machines.pid("web"))[0]
    os.kill(helper, signal.SIGKILL)
    tap.wait_until(lambda: port_answers(first, "::1"), 20, "the ports of the next helper")

    machines.run("kill", "web")
    machines.fails("set", "web", "--unpublish", "9", says="not published")
    machines.fails("set", "web", "-p", f"{first}:9", says="published already")
    machines.run("set", "web", "-p", f"{second}:8", "--unpublish", f"[::1]:{first}")
    kept = [word for word in machines.info("web")["options"] if "publish" in word]
    check_equal(kept, [f"--publish={first}:7", f"--publish={last}:7/udp", f"--publish={second}:8"],
                "what was written down")

    machines.launch("none", guests.kernel(), "--net", "none", "--wait", "0")
    machines.fails("set", "none", "-p", f"{second}:7", says="no user-mode network")
    machines.run("kill", "none")
    machines.fails("set", "none", "-p", f"{second}:7", status=2, says="needs --net user")


PORTS_COMMAND = ("ip link set eth0 up; udhcpc -i eth0 -q -s /usr/bin/dhcp >/dev/null 2>&1; "
                 "net tcp 7")


@case("user: a port in use, or a bad one, is said in a line before the guest starts")
def _(folder):
    need_user_net()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, texts in (
                (["-p", f"{port}:80"], [f"127.0.0.1:{port}/tcp", "choose another"]),
                (["-p", "192.0.2.1:8000:80"], ["192.0.2.1:8000/tcp", "no such address"]),
                (["-p", "80"], ["--publish '80'", "[ADDR:]HOST:GUEST"]),
                (["-p", "0:80"], ["--publish '0:80'"]), (["-p", "70000:1"], ["65535"]),
                (["-p", "x:1:2"], ["no IPv4 address"]),
                (["-p", "[::g]:1:2"], ["no IPv6 address"]), (["-p", "1:2/sctp"], ["tcp nor udp"]),
                (["-p", "9000:1", "-p", "9000:2"], ["given twice"]),
                (["-p", "9000:1", "--net", "none"], ["--net user"])):
            machine = Doppel("--kernel", guests.kernel(), "--serial", "none", *words,
                             terminal=False)
            check_equal(machine.wait(), 2, f"status of {words}")
            check_equal(machine.errors().count("\n"), 1, f"lines of {machine.errors()!r}")
            for text in texts:
                check_in(text, machine.errors(), "error")
            check_equal(bytes(machine.output), b"", "output")


@case("user: without doppel-net it is said what is missing; by default nothing is", limit_s=120)
def _(folder):
    empty = folder / "empty"
    empty.mkdir()
    environment = dict(os.environ, DOPPEL_LIBEXEC=str(empty))
    machine = Doppel("--kernel", guests.kernel(), "--serial", "none", "--net", "user",
                     terminal=False, env=environment)
    check_equal(machine.wait(), 2, "status")
    check_in("doppel-net is missing", machine.errors(), "error")
    machine = start(folder, env=environment)
    check_equal(machine.errors(), "", "errors")
    check("eth0" not in machine.run("ls /sys/class/net"), "there is a network device")


@case("user: a helper that is killed is started again, ports and all; the guest goes on",
      limit_s=180)
def _(folder):
    need_user_net()
    port = free_port()
    machine = start(folder, "-p", f"{port}:7")
    use_dhcp(machine)
    machine.run("net tcp 7 >/tmp/tcp & until grep -q listening /tmp/tcp; do :; done")
    check_equal(ask_tcp(port, b"before"), b"before", "answer")
    for _ in range(3):
        (helper,) = helpers(machine)
        os.kill(helper, signal.SIGKILL)
        tap.wait_until(lambda: helpers(machine) not in ([], [helper]), 10, "another helper")
        machine.run("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do :; done")
        tap.wait_until(lambda: port_answers(port), 10, "the port's answer")
    check_in("1 packets received", machine.run("ping -c 1 10.0.2.2"), "ping")
    check_in("doppel-net ended", machine.errors(), "warning")


def port_answers(port, host="127.0.0.1"):
    with contextlib.suppress(OSError):
        return ask_tcp(port, b"after", host) == b"after"
    return False


def run_in_namespace(folder, command, pings=True):
    """What a guest says that runs `command` in a user namespace, where /etc/resolv.conf can be another file, port 53 is
    free and the host has addresses of its own: 203.0.113.5 and 2001:db8::5, with an echo and a web server."""
    need_user_net()
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "-rmn", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise tap.Skip("user namespaces cannot be made here")
    (folder / "host.py").write_text(FAKE_HOST)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\nnameserver ::1\n")
    script = folder / "inside.sh"
    script.write_text(f"""ip link set lo up
ip addr add 203.0.113.5/32 dev lo
ip addr add 2001:db8::5/128 dev lo
{'' if pings else '# '}echo 0 0 >/proc/sys/net/ipv4/ping_group_range
mount --bind {folder}/resolv.conf /etc/resolv.conf
cd {folder}
{sys.executable} host.py &
{tap.options.doppel} boot "$@"
kill $!
""")
    image = guests.initramfs(
        "virtio_net", "ip link set eth0 up; udhcpc -i eth0 -q -s /usr/bin/dhcp >/dev/null 2>&1; "
        + command, (f"{guest_program()}:/usr/bin/net",
                    f"{initrd(folder).parent / 'dhcp.sh'}:/usr/bin/dhcp"))
    result = subprocess.run(["unshare", "-rmn", "sh", script, "--kernel", guests.kernel(),
                             "--initrd", image, "--net", "user", "--append", "quiet"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                            timeout=BOOT_S)
    return result.stdout, result.stderr


WAIT_FOR_IPV6 = ("until ip -6 addr show dev eth0 | grep -q fec0::; do usleep 100000; done; "
                 "while ip -6 addr show dev eth0 | grep -q tentative; do usleep 100000; done; ")


@case("user: names, echoes and connections, by IPv4 and IPv6, go through the confined helper",
      limit_s=180)
def _(folder):
    output, errors = run_in_namespace(
        folder, WAIT_FOR_IPV6 + "nslookup some.example 10.0.2.3; nslookup other.example fec0::3; "
        "ping -c 1 203.0.113.5; ping6 -c 1 -W 1 2001:db8::5; "
        "for host in 203.0.113.5 '[2001:db8::5]'; do "
        "wget -q -O - http://$host:8000/resolv.conf; done; nc -w 2 203.0.113.5 9 </dev/null; "
        "net get 203.0.113.5 1 1; echo bye")
    check_equal(output.count("203.0.113.77"), 2, f"answers of the resolver in {output!r}")
    check_in("1 packets received", output, "echo")
    check_equal(output.count("nameserver ::1"), 2, f"pages in {output!r}")
    check_in("bye", output, "the end")
    check_equal(errors, "", "errors of doppel")


@case("user: when resolv.conf is replaced, the helper begins anew and reads it", limit_s=180)
def _(folder):
    (folder / "next.conf").write_text("nameserver 127.0.0.2\n")
    output, errors = run_in_namespace(
        folder, "nslookup some.example 10.0.2.3; net get 203.0.113.5 7 1; sleep 2; "
        "nslookup some.example 10.0.2.3; sleep 1; nslookup some.example 10.0.2.3; "
        "ping -c 1 -W 1 203.0.113.5; nslookup some.example 10.0.2.3", pings=False)
    check_in("203.0.113.77", output, f"first answer (errors {errors!r})")
    check_in("203.0.113.88", output, f"answer of the next (errors {errors!r})")
    check_in("100% packet loss", output, "an echo that the host lets nobody send")
    check_equal(len(errors.splitlines()), 2, f"lines of {errors!r}")
    check_in("resolv.conf was replaced", errors, "warning")


FAKE_HOST = """
import functools, http.server, os, socket, socketserver, subprocess, threading

def resolve(host, number):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((host, 53))
    while True:
        q, peer = s.recvfrom(512)
        # The question ends with its type and class; type 1 wants an IPv4 address.
        end = q.index(0, 12) + 5
        is_a = q[end - 4:end - 2] == b"\\0\\1"
        answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes((203, 0, 113, number))
        s.sendto(q[:2] + b"\\x81\\x80\\0\\1" + bytes((0, is_a)) + bytes(4) + q[12:end] +
                 (answer if is_a else b""), peer)

def replace():
    s = socket.create_server(("203.0.113.5", 7))
    while True:
        peer, _ = s.accept()
        subprocess.run(["mount", "--bind", "next.conf", "/etc/resolv.conf"], check=True)
        peer.send(b"x")
        peer.close()

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass

for host, number in (("127.0.0.1", 77), ("::1", 77), ("127.0.0.2", 88)):
    threading.Thread(target=resolve, args=(host, number), daemon=True).start()
threading.Thread(target=replace, daemon=True).start()
Server(("::", 8000), Handler).serve_forever()
"""


@case("user: a limit of the rate holds within a tenth, both ways", limit_s=180)
def _(folder):
    need_user_net()
    server = Server()
    rate = 4 << 20
    machine = start(folder, "--net", "user", "--net-rate", "4M")
    use_dhcp(machine)
    for verb in ("get", "put"):
        text = machine.run(f"net {verb} 10.0.2.2 {server.port} {2 * rate}")
        seconds = float(re.search(r"in ([\d.]+) s", text).group(1))
        check(1.8 <= seconds <= 2.2, f"{verb}: {2 * rate} bytes in {seconds} s at {rate} a second")


# ---- socket ----

@case("socket: machines see each other, whoever comes and goes", limit_s=240)
def _(folder):
    switch = folder / "switch"
    machines = [start(folder, "--net", f"socket:{switch}") for _ in range(2)]
    for number, machine in enumerate(machines, 1):
        machine.run(f"ip addr add 192.168.7.{number}/24 dev eth0; ip link set eth0 up")
    check_in("3 packets received", machines[0].run("ping -c 3 -A 192.168.7.2"), "ping")
    check_equal(switch.stat().st_mode & 0o777, 0o700, "mode of the directory")
    check_equal(len(list(switch.iterdir())), 2, "sockets")
    machines[1].run("net tcp 7 >/tmp/tcp & until grep -q listening /tmp/tcp; do :; done")
    check_in("hello", machines[0].run("net say 192.168.7.2 7 hello"), "answer")

    machines[0].kill(signal.SIGKILL)  # leaves its socket behind
    machines[0].wait()
    third = start(folder, "--net", f"socket:{switch}")
    check_equal(len(list(switch.iterdir())), 2, "sockets after the next has joined")
    third.run("ip addr add 192.168.7.3/24 dev eth0; ip link set eth0 up")
    check_in("hello", third.run("net say 192.168.7.2 7 hello"), "answer to the third")
    third.terminate()
    machines[1].terminate()
    check_equal(list(switch.iterdir()), [], "sockets after the end")


@case("socket: a machine that does not listen harms no other", limit_s=240, long=True)
def _(folder):
    switch = folder / "switch"
    machines = [start(folder, "--net", f"socket:{switch}") for _ in range(3)]
    for number, machine in enumerate(machines, 1):
        machine.run(f"ip addr add 192.168.7.{number}/24 dev eth0; ip link set eth0 up")
    check_in("1 packets received", machines[0].run("ping -c 1 192.168.7.3"), "ping")
    machines[2].kill(signal.SIGSTOP)
    # 20 MB go to who does not listen, more than any queue holds.
    machines[0].run("arp -s 192.168.7.3 $(cat /proc/net/arp | grep 7.3 | tr -s ' ' | cut -d' ' -f4)")
    machines[0].run("net udpput 192.168.7.3 9 20000000")
    check_in("3 packets received", machines[0].run("ping -c 3 -A 192.168.7.2"), "ping")
    machines[2].kill(signal.SIGCONT)
    check_in("1 packets received", machines[0].run("ping -c 1 192.168.7.3"), "ping afterwards")


@case("socket: two machines of one name, a path that is no directory, rubbish in it")
def _(folder):
    switch = folder / "switch"
    first = Doppel("--kernel", guests.kernel(), "--name", "twin", "--net", f"socket:{switch}", "-S",
                   "--serial", "none", terminal=False)
    tap.wait_until(lambda: switch.exists() and list(switch.iterdir()), 5, "the first machine")
    second = Doppel("--kernel", guests.kernel(), "--name", "twin", "--net", f"socket:{switch}",
                    "--serial", "none", terminal=False)
    check_equal(second.wait(), 2, "status of the second")
    check_in("another --name", second.errors(), "error")
    first.terminate()

    (switch / "00112233445x.sock").write_text("not a socket")
    (switch / "001122334455.sock").mkdir()
    (switch / "001122334456.sock").write_text("not one either")
    third = Doppel("--kernel", guests.kernel(), "--net", f"socket:{switch}", "-S", "--serial",
                   "none", terminal=False)
    tap.wait_until(lambda: len(list(switch.iterdir())) == 4, 5, "the machine among rubbish")
    third.terminate()

    (folder / "file").write_text("")
    for path in (folder / "file", folder / "no/where"):
        machine = Doppel("--kernel", guests.kernel(), "--net", f"socket:{path}", "--serial", "none",
                         terminal=False)
        check_equal(machine.wait(), 2, "status")
        check_in(str(path), machine.errors(), "error")


# ---- all ----

@case("several networks at once; a TAP that is not there", limit_s=180)
def _(folder):
    need_user_net()
    machine = start(folder, "--net", "user", "--net", f"socket:{folder / 'switch'}")
    check_equal(machine.run("ls /sys/class/net").split(), ["eth0", "eth1", "lo"], "interfaces")
    addresses = machine.run("cat /sys/class/net/eth?/address").split()
    check_equal(len(set(addresses)), 2, f"different ones of {addresses}")
    check_in("10.0.2.15", use_dhcp(machine), "lease")
    machine.terminate()
    for words, text in ((["--net", "tap:" + "x" * 20], "shorter"),
                        (["--net", "none", "--net", "user"], "exclude"),
                        (["--net", "user"] * 5, "at most 4"), (["--net", "cable"], "socket:PATH")):
        machine = Doppel("--kernel", guests.kernel(), "--serial", "none", *words, terminal=False)
        check_equal(machine.wait(), 2, f"status of {words}")
        check_in(text, machine.errors(), "error")


def main():
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])


if __name__ == "__main__":
    main()
