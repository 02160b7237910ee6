#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Machines in the background: every verb, in every state, and what goes wrong.

    lifecycle_test.py DOPPEL [--long] [--only REGEX]
"""
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time

import guests
import process
import tap
from assembler import elf
from machines import Control, Machines, processes_with
from process import Doppel
from tap import Skip, case, check, check_equal, check_in, wait_until

# Prints '>' and works for ever.
SPIN = """
start:
    li   t0, 0x10000000
    li   t2, '>'
    sb   t2, 0(t0)
spin:
    j    spin
"""

# Prints '>', echoes what it receives, and sleeps in between for want of an interrupt.
ECHO = """
start:
    li   t0, 0x10000000
    li   t2, '>'
    sb   t2, 0(t0)
wait:
    lbu  t1, 5(t0)
    andi t1, t1, 1
    beqz t1, wait
    lbu  t1, 0(t0)
    sb   t1, 0(t0)
    j    wait
"""

# Prints "hello" and switches itself off.
HELLO = """
start:
    li   t0, 0x10000000
    li   t2, 'h'
    sb   t2, 0(t0)
    li   t2, 'i'
    sb   t2, 0(t0)
    li   t0, 0x100000
    li   t1, 0x5555
    sw   t1, 0(t0)
stay:
    j    stay
"""

ONE_NAME = ["info", "start", "stop", "restart", "pause", "resume", "kill", "console", "logs",
            "shell"]


def setup(folder, text=SPIN):
    (folder / "guest.elf").write_bytes(elf(text))
    return Machines(folder)


# ---- the course of a life ----

@case("a machine is launched, listed, paused, resumed, killed, started and removed")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=64M", "./guest.elf")
    line = machines.run("ls").splitlines()[1].split()
    check_equal(line[:2], ["web", "running"], "ls")
    info = machines.info("web")
    check_equal([info["name"], info["state"], info["cpus"], info["memory"]],
                ["web", "running", 1, 64 << 20], "info")
    check_equal(info["options"], ["--memory=64M", "./guest.elf"], "options")
    check_equal(os.stat(machines.sockets("web")).st_mode & 0o777, 0o700, "mode of sockets")
    machines.run("pause", "web")
    machines.run("pause", "web")
    check_equal(machines.state("web"), "paused", "state")
    before = machines.info("web")["pid"]
    machines.run("resume", "web")
    machines.run("resume", "web")
    check_equal(machines.state("web"), "running", "state")
    stats = json.loads(machines.run("stats", "web", "-o", "json"))[0]
    check(stats["instructions"] > 0 and stats["resident"] > 0, f"stats {stats}")
    check_in("web", machines.run("stats"), "stats")
    machines.run("kill", "web")
    check_equal(machines.state("web"), "stopped", "state")
    check(not list(machines.sockets("web").glob("*")), "sockets stayed")
    machines.run("start", "web")
    check(machines.pid("web") != before, "another process")
    machines.fails("rm", "web", says=["running", "doppel stop web"])
    machines.run("rm", "-f", "web")
    check_equal(json.loads(machines.run("ls", "-o", "json")), [], "machines")
    check(not machines.home("web").exists() and not machines.sockets("web").exists(), "left over")


@case("names are chosen, taken, and refused in words")
def _(folder):
    machines = setup(folder)
    names = [machines.run("launch", "--memory=32M", "./guest.elf") for _ in range(2)]
    check_equal(names, ["machine", "machine-2"], "names")
    machines.fails("launch", "--name", "machine", "./guest.elf", says=["already", "doppel rm"])
    for name in ("Web", "-a", "a b", "../x", "a" * 64, ""):
        machines.fails("launch", f"--name={name}", "./guest.elf", status=2)
    check_equal(sorted(path.name for path in (machines.data / "doppel/machines").iterdir()),
                sorted(names), "folders")


@case("verbs say what state a machine is in")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    machines.fails("start", "web", says="is running already")
    machines.run("pause", "web")
    machines.fails("start", "web", says="is paused already")
    machines.fails("stop", "web", says=["paused", "doppel resume web"])
    machines.run("kill", "web")
    for verb in ("stop", "restart", "pause", "resume", "console", "shell"):
        machines.fails(verb, "web", says=["is stopped", "doppel start web"])
    machines.fails("exec", "web", "--", "true", says="is stopped")
    machines.fails("kill", "web", says="does not run")
    for verb in ONE_NAME:
        machines.fails(verb, "db", says=["no machine 'db'", "doppel ls"])
    machines.fails("rm", "db", says="no machine 'db'")
    machines.fails("set", "db", "--cpus=1", says="no machine 'db'")
    machines.fails("ls", "db", says="no machine 'db'")


@case("missing and wrong words give one line and status 2")
def _(folder):
    machines = setup(folder)
    for verb in ONE_NAME + ["rm", "set", "cp", "exec", "completion"]:
        machines.fails(verb, status=2)
        machines.fails(verb, "--no-such-option", "a", status=2)
    for verb in ONE_NAME:
        machines.fails(verb, "a", "b", status=2, says="too many words")
    machines.fails("ls", "-o", "xml", status=2, says="json")
    machines.fails("stop", "a", "--time", "soon", status=2, says="seconds")
    machines.fails("launch", status=2, says="doppel launch debian")
    machines.fails("launch", "debian", says="doppel pull debian")
    machines.fails("launch", "./guest.elf", "--qmp=unix:x", status=2, says="launch sets it itself")
    machines.fails("launch", "./guest.elf", "--cpus=0", status=2)
    machines.fails("launch", "./nowhere.elf", status=1, says="nowhere.elf")
    machines.fails("launch", "./guest.elf", "--append=\udcff", status=2, says="UTF-8")
    machines.fails("set", "web", "--cpus=inf", status=2)
    machines.fails("set", "web", status=2, says="nothing to set")
    machines.fails("fly", status=2, says="doppel help")
    machines.fails("completion", "zsh", status=2, says="bash")
    check_equal(json.loads(machines.run("ls", "-o", "json")), [], "machines that were left")


@case("every command has its --help")
def _(folder):
    machines = setup(folder)
    commands = re.findall(r"^  (\w+) ", machines.run("help"), re.M)
    check(len(commands) > 25, f"commands {commands}")
    for command in commands:
        if command in ("version", "help"):
            continue
        text = machines.run(command, "--help")
        check_in(f"usage: doppel {command}", text, f"help of {command}")


# ---- ends ----

def check_gone(pid):
    """Whoever adopted it may not have noticed yet."""
    def is_gone():
        try:
            return ") Z " in pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True
    wait_until(is_gone, 5, "the end of the process")


@case("a guest that does not listen is not stopped, but can be forced", limit_s=30)
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    begin = time.monotonic()
    machines.fails("stop", "web", "--time=1", says=["within 1 s", "doppel kill"])
    check(1 <= time.monotonic() - begin < 3 * tap.slowness, "time limit")
    check_equal(machines.state("web"), "running", "state")
    process_ = machines.start("stop", "web", "--time=0", "--force")
    _, errors = process_.communicate(timeout=30)
    check_equal(process_.returncode, 0, f"status ({errors})")
    check_equal(machines.state("web"), "stopped", "state")


@case("a guest that switches itself off has stopped, and its console is kept")
def _(folder):
    machines = setup(folder, HELLO)
    machines.run("launch", "--name=web", "--memory=32M", "-S", "./guest.elf")
    check_equal(machines.state("web"), "prelaunch", "state")
    follow = machines.start("logs", "-f", "web")
    machines.run("resume", "web")
    output, _ = follow.communicate(timeout=20 * tap.slowness)
    check_equal(output, "hi", "followed log")
    wait_until(lambda: machines.state("web") == "stopped", 10, "the end")
    check_equal(machines.run("logs", "web"), "hi", "log")
    check_equal(machines.run("logs", "--doppel", "web"), "", "what doppel said")


@case("a machine that crashed says so and starts again")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    os.kill(machines.pid("web"), signal.SIGKILL)
    wait_until(lambda: machines.state("web") == "crashed", 10, "the crash")
    check_in("crashed", machines.run("ls"), "ls")
    machines.fails("pause", "web", says=["crashed", "doppel start web"])
    machines.run("start", "web")
    check_equal(machines.state("web"), "running", "state")
    os.kill(machines.pid("web"), signal.SIGKILL)
    wait_until(lambda: machines.state("web") == "crashed", 10, "the crash")
    machines.run("rm", "web")


@case("a machine that hangs can be killed", limit_s=40)
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    pid = machines.pid("web")
    os.kill(pid, signal.SIGSTOP)
    tap.at_end(lambda: machines.run("rm", "-f", "web"))
    check_in("not answering", machines.run("ls"), "ls")
    machines.run("kill", "web")
    check_gone(pid)


@case("a machine that cannot start tells why, and is as it was")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    machines.run("kill", "web")
    (folder / "guest.elf").rename(folder / "elsewhere.elf")
    machines.fails("start", "web", says=["'web' does not start", "guest.elf"])
    check_equal(machines.state("web"), "stopped", "state")
    (folder / "elsewhere.elf").rename(folder / "guest.elf")
    other = folder / "other"
    other.mkdir()
    machines.run("start", "web", cwd=other)  # paths are the launcher's
    machines.run("kill", "web")
    folder.joinpath("guest.elf").rename(other / "guest.elf")
    moved = machines.home("web") / "machine.json"
    record = json.loads(moved.read_text())
    record["directory"] = str(folder / "gone")
    moved.write_text(json.dumps(record))
    errors = machines.fails("start", "web", says=["folder", "gone", "cannot be entered"])
    check("start: doppel" not in errors, errors)


@case("of many starts at once one succeeds", limit_s=60)
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    for _ in range(5):
        machines.run("kill", "web")
        starts = [machines.start("start", "web") for _ in range(6)]
        results = [(start.communicate(timeout=40)[1], start.returncode) for start in starts]
        check_equal(sorted(status for _, status in results), [0, 1, 1, 1, 1, 1],
                    f"statuses ({results})")
        for errors, status in results:
            check(status == 0 or "already" in errors or "being started" in errors, errors)
        check_equal(machines.state("web"), "running", "state")


@case("damaged records are told, and forgotten by rm -f also while the machine runs")
def _(folder):
    machines = setup(folder)
    for name, text in (("a", ""), ("b", "{}"), ("c", '{"format": 1}'), ("d", "\0" * 100)):
        machines.launch(name, "--memory=32M", "./guest.elf")
        pid = machines.pid(name)
        (machines.home(name) / "machine.json").write_text(text)
        machines.fails("info", name, says="cannot be read")
        machines.fails("start", name, says="doppel rm -f", status=2)
        machines.fails("rm", name, status=2)
        check_in("record damaged", machines.run("ls"), "ls")
        machines.run("rm", "-f", name)
        check(not machines.home(name).exists(), "the record stayed")
        check_gone(pid)


def what_is_left(machines):
    """Names of all that starts of these machines could leave on the host."""
    sockets = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return {"files": sorted(str(path.relative_to(machines.folder))
                            for path in machines.folder.rglob("*")),
            "sockets": [line for line in sockets if str(machines.folder) in line],
            "shared memory": [name for name in os.listdir("/dev/shm") if "doppel" in name],
            "locks": machines.run("ls", "-o", "json"),
            "processes": processes_with(str(machines.folder))}


def check_cycles(machines, count):
    """Starts and ends of a machine with a disk, a shared folder and a network, each of which has
    a process or threads."""
    share = machines.folder / "share"
    share.mkdir()
    with open(machines.folder / "base", "wb") as file:
        file.truncate(1 << 20)
    subprocess.run([str(tap.options.doppel), "image", "create", str(machines.folder / "disk"), "--base",
                    str(machines.folder / "base")], check=True, stdout=subprocess.DEVNULL)
    machines.launch("web", "--memory=32M", f"--disk={machines.folder}/disk", "--net=user",
                    "-v", f"{share}:/share", "./guest.elf")
    machines.run("kill", "web")
    before = what_is_left(machines)
    for _ in range(count):
        machines.run("start", "web")
        machines.run("kill", "web")
    wait_until(lambda: not processes_with(str(machines.folder)), 10, "the end of all processes")
    check_equal(what_is_left(machines), before, "what is left")


@case("30 starts and ends leave nothing behind")
def _(folder):
    check_cycles(setup(folder), 30)


@case("1000 starts and ends leave nothing behind", long=True)
def _(folder):
    check_cycles(setup(folder), 1000)


# ---- the console ----

@case("the console is a terminal's, left by Ctrl-]")
def _(folder):
    machines = setup(folder, ECHO)
    machines.launch("web", "--memory=32M", "./guest.elf")
    console = Doppel("web", command="console", env=machines.environment)
    wait_until(lambda: "leaves" in console.errors(), 10, "the console")
    for key in "one":
        console.send(key)
        console.expect(key)
    console.send("\x1d")
    console.check_exit(0)
    check_in("left", console.errors(), "last words")
    script = machines.start("console", "web", stdin=subprocess.PIPE)
    script.stdin.write("two")
    script.stdin.flush()
    check_equal(script.stdout.read(3), "two", "answer to a script")
    machines.run("kill", "web")
    check_equal(script.wait(20), 0, "status when the machine ends")
    check_in(">", machines.run("logs", "web"), "log")


# ---- limits ----

def cpu_of_threads(pid):
    """Seconds that they ran, and that they waited for a CPU of the host."""
    rows = [(task / "schedstat").read_text().split()
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(row[0]) for row in rows) / 1e9, sum(int(row[1]) for row in rows) / 1e9


def check_cpu(machines, limit, seconds):
    pid = machines.pid("web")
    time.sleep(0.5)
    begin, before = time.monotonic(), cpu_of_threads(pid)
    time.sleep(seconds)
    span, after = time.monotonic() - begin, cpu_of_threads(pid)
    ran, waited = (after[0] - before[0]) / span, (after[1] - before[1]) / span
    tap.comment(f"{ran:.3f} CPUs, waited {waited:.3f}")
    check(ran <= 1.1 * limit, f"{ran:.3f} CPUs instead of {limit}")
    # A host that is busy gives less, and lets wait.
    check(ran + waited >= 0.9 * limit, f"{ran:.3f} CPUs instead of {limit}, waited {waited:.3f}")


@case("limits of CPU hold, change while the machine runs, and are kept", limit_s=40)
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "--cpus-limit=0.25", "./guest.elf")
    check_cpu(machines, 0.25, 1.5)
    machines.run("set", "web", "--cpus=0.5", "--cpu-shares=512")
    check_cpu(machines, 0.5, 1.5)
    machines.run("kill", "web")
    machines.fails("set", "web", "--cpus=100", status=2, says="cpus-limit")
    machines.run("start", "web")
    check_in("--cpus-limit=0.5", machines.info("web")["options"], "options")
    check_in("--cpu-shares=512", machines.info("web")["options"], "options")
    check_cpu(machines, 0.5, 1.5)
    machines.fails("set", "web", "--cpu-shares=0", says="cpu-shares")
    machines.fails("set", "web", "--io-bps=1M", says="no disk")
    machines.run("set", "web", "--cpus=0")
    check("--cpus-limit" not in str(machines.info("web")["options"]), "a limit that is none")


# ---- the control protocol ----

@case("the control protocol serves what its table promises")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    client = Control(machines.sockets("web") / "qmp.sock")
    names = {row["name"] for row in client.call("query-commands")}
    schema = {row["name"]: row for row in client.call("query-qmp-schema")}
    check(names <= set(schema), "commands in the schema")
    check_equal(client.call("query-status")["status"], "running", "status")
    check_equal(client.call("query-name")["name"], "web", "name")
    check_equal(client.call("query-memory-size-summary")["base-memory"], 32 << 20, "memory")
    check_equal(len(client.call("query-cpus-fast")), 1, "harts")
    client.call("stop")
    client.call("cont")
    client.call("system_reset")
    client.call("system_powerdown")
    check_equal(client.events, ["STOP", "RESUME", "RESET", "POWERDOWN"], "events")
    check_in("running", client.call("human-monitor-command", command_line="info status"), "hmp")
    check_in("unknown", client.call("human-monitor-command", command_line="\u20ac" * 100), "hmp")
    skipped = {"qmp_capabilities", "quit", "stop"}
    for name in sorted(names - skipped):
        members = schema[f"{name}-arguments"]["members"]
        if all("default" in member for member in members):
            client.call(name)
        else:
            check_in("missing", str(client.ask(name)), f"{name} without arguments")
    check_in("error", client.ask("stop", now=True), "an argument too many")
    client.call("quit")
    check_equal(client.events[-1], "SHUTDOWN", "the last event")
    wait_until(lambda: machines.state("web") == "stopped", 10, "the end")


@case("socat is a client like any other")
def _(folder):
    if not shutil.which("socat"):
        raise Skip("socat is missing")
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    text = '{"execute":"qmp_capabilities"}\n{"execute":"query-name","id":1}\n'
    result = subprocess.run(["socat", "-t2", "-", f"UNIX-CONNECT:{machines.sockets('web')}/qmp.sock"],
                            input=text, stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    check("QMP" in lines[0] and lines[1] == {"return": {}}, str(lines))
    check_equal(lines[2], {"return": {"name": "web"}, "id": 1}, "answer")


def garbage(source):
    """A request, spoiled more or less."""
    kind = source.randrange(5)
    if kind == 0:
        return bytes(source.randrange(256) for _ in range(source.randrange(200)))
    name = source.choice(["stop", "cont", "query-status", "x-doppel-set", "fly", "query-block"])
    arguments = {source.choice(["a", "cpus-limit", "io-bps", "\u20ac" * 30]):
                 source.choice([1, -1, 1e300, "x", None, [], {}, True, 1 << 62])}
    text = json.dumps({"execute": name, "arguments": arguments, "id": source.random()}).encode()
    if kind == 1:
        at = source.randrange(len(text))
        text = text[:at] + bytes([source.randrange(256)]) + text[at + 1:]
    elif kind == 2:
        text = text[:source.randrange(len(text))]
    elif kind == 3:
        text = b"[" * source.randrange(5000) + text
    return text + b"\n" * source.randrange(2)


@case("1000 requests of garbage harm nobody")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    path = machines.sockets("web") / "qmp.sock"
    seed = random.randrange(1 << 32)
    tap.comment(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(20):
        client = Control(path)
        client.socket.setblocking(False)
        for _ in range(50):
            try:
                client.socket.send(garbage(source))
                client.socket.recv(1 << 16)
            except BlockingIOError:
                pass
            except OSError:
                break  # sent away
        client.socket.close()
    check_in("status", Control(path).call("query-status"), "answer to a client that behaves")


@case("16 clients at once, one that does not read, one that half closes")
def _(folder):
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    path = machines.sockets("web") / "qmp.sock"
    clients = [Control(path) for _ in range(16)]
    extra = socket.socket(socket.AF_UNIX)
    extra.settimeout(10)
    extra.connect(str(path))
    check_equal(extra.recv(10), b"", "a seventeenth is sent away")
    extra.close()
    for client in clients:
        check_equal(client.call("query-name")["name"], "web", "answer")
    half = clients.pop()
    half.socket.sendall(b'{"execute":"query-name"}\n' * 3)
    half.socket.shutdown(socket.SHUT_WR)
    check_equal([half.receive()["return"]["name"] for _ in range(3)], ["web"] * 3, "last answers")
    slow = clients.pop()
    slow.socket.setblocking(False)
    request = b'{"execute":"query-qmp-schema"}\n' * 100
    sent = 0
    try:
        while sent < 64 << 20:
            sent += slow.socket.send(request)
    except BlockingIOError:
        time.sleep(0.2)
    except OSError:
        pass
    for client in clients:
        check_equal(client.call("query-status")["status"], "running", "status")
    wait_until(lambda: machines.info("web").get("pid"), 10, "room for a client")


# ---- the sandbox of a machine that runs ----

@case("all threads of a machine are in the sandbox")
def _(folder):
    machines = setup(folder)
    (folder / "disk.img").write_bytes(bytes(1 << 20))
    (folder / "shared").mkdir()
    machines.launch("web", "--memory=32M", "--cpus=2", "--disk=disk.img", "-v", "shared:/mnt",
                    "./guest.elf")
    pid = machines.pid("web")
    tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    check(len(tasks) >= 8, f"threads {tasks}")
    for task in tasks:
        status = (task / "status").read_text()
        for key, value in (("Seccomp", "2"), ("NoNewPrivs", "1"), ("CapEff", "0" * 16),
                           ("CapPrm", "0" * 16), ("CapBnd", "0" * 16)):
            found = re.search(rf"^{key}:\s+(\S+)$", status, re.M).group(1)
            check_equal(found, value, f"{key} of {task}")
    if os.geteuid() != 0:
        raise Skip("descriptors and root of such a process are root's to see")
    check_equal(os.listdir(f"/proc/{pid}/root"), [], "root")
    allowed = re.compile(r"/dev/null|anon_inode:|socket:|pipe:|/memfd:|/proc/\d+/statm|.*/statm|"
                         + re.escape(str(folder)))
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(path)
        check(allowed.match(target), f"descriptor {path.name} leads to {target}")


@case("no memory of a machine is ever writable and executable")
def _(folder):
    if os.geteuid() != 0:
        raise Skip("mappings of such a process are root's to see")
    machines = setup(folder)
    machines.launch("web", "--memory=32M", "./guest.elf")
    pid = machines.pid("web")
    for _ in range(300):
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            rights = line.split()[1]
            check(not ("w" in rights and "x" in rights), line)
        time.sleep(random.random() / 300)


# ---- the store of images ----

def make_archive(path, members):
    """A tar of (name, bytes or (type, target))."""
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content
                archive.addfile(entry)
    return path


def parts(**changes):
    description = {"format": 1, "name": "tiny:1", "kernel": "kernel", "initrd": "initrd",
                   "disk": "disk.img", "append": "", "size": 1 << 20, "created": "now",
                   "release": "6"}
    description.update(changes)
    return [("image.json", json.dumps(description).encode()), ("kernel", b"k"), ("initrd", b"i"),
            ("disk.img", bytes(1 << 20))]


@case("images are imported, listed, exported and removed")
def _(folder):
    machines = setup(folder)
    archive = make_archive(folder / "tiny.tar", parts())
    check_equal(machines.run("image", "import", archive), "tiny:1", "name")
    machines.fails("image", "import", archive, says="already")
    check_equal(machines.run("image", "import", archive, "--name=other"), "other", "name")
    listed = json.loads(machines.run("image", "ls", "-o", "json"))
    check_equal([image["name"] for image in listed], ["other", "tiny:1"], "images")
    check_in("tiny:1", machines.run("image", "ls"), "images as text")
    machines.run("image", "export", "tiny:1", folder / "again.tar")
    machines.run("image", "rm", "tiny:1", "other")
    check_equal(machines.run("image", "import", folder / "again.tar"), "tiny:1", "name")
    machines.fails("image", "rm", "unknown", says="no image 'unknown'")
    machines.fails("image", "export", "unknown", "x.tar", says="no image")
    check_equal(os.listdir(machines.data / "doppel/images"), ["tiny@1"], "what is in the store")


@case("damaged archives leave the store as it was")
def _(folder):
    machines = setup(folder)
    good = make_archive(folder / "good.tar", parts()).read_bytes()
    bad = {
        "empty": b"",
        "text": b"this is no archive" * 100,
        "cut": good[:len(good) // 2],
        "cut in the first header": good[:300],
    }
    for name, members in {
            "without a disk": parts()[:3],
            "a link": parts()[:3] + [("disk.img", (tarfile.SYMTYPE, "/etc/passwd"))],
            "a fifo": parts()[1:] + [("image.json", (tarfile.FIFOTYPE, ""))],
            "a path upwards": parts(kernel="../../x"),
            "no name": parts(name=""),
            "an evil name": parts(name="../x"),
            "no object": [("image.json", b"[]")] + parts()[1:],
            "a description without end": [("image.json", b" " * (3 << 20))] + parts()[1:],
    }.items():
        bad[name] = make_archive(folder / "bad.tar", members).read_bytes()
    for name, content in bad.items():
        (folder / "bad.tar").write_bytes(content)
        process_ = machines.start("image", "import", "bad.tar")
        _, errors = process_.communicate(timeout=20)
        check_equal(process_.returncode, 2, f"status of {name!r} ({errors})")
        check_in("doppel image import: ", errors.splitlines()[-1], name)
        check_equal(os.listdir(machines.data / "doppel/images"), [], f"the store after {name!r}")
    machines.fails("image", "import", "nowhere.tar", says="nowhere.tar")


# ---- people ----

@case("bash completes commands, options and names")
def _(folder):
    if not shutil.which("bash"):
        raise Skip("bash is missing")
    machines = setup(folder)
    machines.launch("web-server", "--memory=32M", "./guest.elf")
    script = """source <(doppel completion bash)
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _doppel; echo "${COMPREPLY[*]}"; }
complete_line doppel laun
complete_line doppel stop we
complete_line doppel stop --f
complete_line doppel image ex
complete_line doppel image import --cl
complete_line doppel image import gues
"""
    path = folder / "bin"
    path.mkdir()
    (path / "doppel").symlink_to(tap.options.doppel)
    result = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, timeout=20,
                            cwd=folder, check=True, stderr=subprocess.PIPE,
                            env=dict(machines.environment,
                                     PATH=f"{path}:{os.environ['PATH']}"))
    check_equal(result.stdout.splitlines(), ["launch", "web-server", "--force", "export",
                                               "--cloud-init", "guest.elf"],
                f"completions ({result.stderr})")


@case("doctor tells of everything, also as JSON")
def _(folder):
    machines = setup(folder)
    process_ = machines.start("doctor", "-o", "json")
    output, errors = process_.communicate(timeout=20)
    rows = json.loads(output)
    broken = any(row["verdict"] == "missing" for row in rows)
    check_equal(process_.returncode, int(broken), f"status ({errors})")
    checks = {row["check"] for row in rows}
    check({"kernel", "cpu", "code", "seccomp", "namespaces", "landlock", "folders"} <= checks,
          f"checks {checks}")
    for row in rows:
        check(row["verdict"] in ("ok", "limited", "missing") and row["found"], str(row))
        check(row["verdict"] == "ok" or row["advice"], f"no advice: {row}")


@case("a person in a terminal launches, watches and leaves", limit_s=40)
def _(folder):
    if not shutil.which("tmux"):
        raise Skip("tmux is missing")
    machines = setup(folder, ECHO)
    server = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def tmux(*words):
        return subprocess.run(server + list(words), stdout=subprocess.PIPE, text=True, check=True,
                              timeout=20, env=machines.environment).stdout

    def shows(pattern):
        return wait_until(lambda: re.search(pattern, tmux("capture-pane", "-p", "-t", "t"), re.M),
                          15, f"{pattern!r} on the screen")

    tmux("new-session", "-d", "-s", "t", "-x", "100", "-y", "30", "-c", str(folder), "sh")
    tap.at_end(lambda: subprocess.run(server + ["kill-server"], check=False))
    doppel = tap.options.doppel
    tmux("send-keys", "-t", "t", f"PS1='@ '; alias d={doppel}", "Enter")
    tmux("send-keys", "-t", "t", "d launch --name web --memory 32M ./guest.elf", "Enter")
    shows("^web$")
    tmux("send-keys", "-t", "t", "clear; d console web", "Enter")
    shows("leaves")
    tmux("send-keys", "-t", "t", "hello", "C-]")
    shows(r"\[left\]")
    tmux("send-keys", "-t", "t", "clear; d top", "Enter")
    shows(r"^web +running +\d+%")
    tmux("send-keys", "-t", "t", "q")
    tmux("send-keys", "-t", "t", "echo back-$((20+22))", "Enter")
    shows("^back-42$")
    tmux("send-keys", "-t", "t", "clear; d rm web; d kill web; d rm web; d ls", "Enter")
    shows(r"doppel stop web[^$]*NAME +STATE")


@case("a guest of Linux ignores the button, is stopped by force, and its log is complete",
      limit_s=60)
def _(folder):
    machines = setup(folder)
    machines.run("launch", "--name=linux", f"--initrd={guests.initramfs()}", "--memory=256M",
                 str(guests.kernel()))
    wait_until(lambda: "guest is ready" in machines.run("logs", "linux"), 40, "the shell")
    machines.fails("stop", "linux", "--time=1", says="did not shut down")
    machines.run("kill", "linux")
    check_in("Linux version", machines.run("logs", "linux"), "log")


@case("a guest works in a shared folder behind the sandbox", limit_s=60)
def _(folder):
    shared = folder / "shared"
    shared.mkdir()
    (shared / "file").write_text("0123456789")
    work = ("mkdir -p /mnt && mount -t virtiofs share0 /mnt && cd /mnt && chmod 600 file && "
            "chmod 4755 file && truncate -s 4 file && mv file moved && ln moved again && "
            "mkdir -m 2755 sub && ln -s /etc/passwd sub/link && touch -d 2001-02-03 again && "
            "chown 1000:1000 again && rm moved && sync && stat -c %a-%u again && df . && cat again")
    machine = Doppel(f"--initrd={guests.initramfs('virtiofs', work)}", "-v", f"{shared}:/mnt",
                     "--memory=256M", guests.kernel(), terminal=False)
    machine.check_exit(0, 50)
    output = bytes(machine.output).decode(errors="replace")
    check_in("doppel: exit 0", output, "end of the guest")
    check_in("0123", output, "content")
    check_equal((shared / "again").stat().st_mode & 0o7000, 0, "setuid on the host")
    check_equal((shared / "sub").stat().st_mode & 0o7000, 0, "setgid on the host")


if __name__ == "__main__":
    process.no_core_dumps()
    tap.main(__doc__.splitlines()[0])
