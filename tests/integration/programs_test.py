#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs of Debian 13 for riscv64 under `doppel run`, unmodified. What they make
is compared with what the host's own programs make, or else with qemu-riscv64.

    programs_test.py DOPPEL [--long] [--repeat N] [--reference] [--only REGEX]

The packages are fetched once. --long adds Python's own tests, gcc, node, redis, stress-ng
and Java: 1 GB of packages, half an hour. --repeat runs what depends on chance N times.
--reference runs the cases under qemu-riscv64 in doppel's place, to test the tests.
"""
import hashlib
import importlib
import os
import re
import sys
import time

import roots
import tap
from process import Doppel
from roots import program_case, run, run_native
from tap import check, check_equal, check_in

SHORT = ("python3", "bash", "dash", "coreutils", "perl-base", "sqlite3", "xz-utils", "zstd", "tar",
         "openssl")
PYTHON = "usr/bin/python3.13"
BASH = "usr/bin/bash"
WORKLOADS = roots.WORKLOADS

def short_root():
    return roots.fetch(*SHORT)


# ---- Python ----

# Does not depend on the version of Python.


@program_case("Python computes what the host's Python computes")
def _(_):
    script = WORKLOADS / "computing.py"
    wanted = run_native(sys.executable, "-I", script)
    check_equal(run(short_root(), PYTHON, "-I", script), wanted, "output")


@program_case("Python's threads, processes, signals, sockets and asyncio work", limit_s=90)
def _(_):
    script = WORKLOADS / "threads_and_children.py"
    wanted = run_native(sys.executable, "-I", script)
    check_equal(run(short_root(), PYTHON, "-I", script), wanted, "output")


@program_case("Python's processes share work by fork, spawn and fork server", limit_s=120)
def _(_):
    script = WORKLOADS / "processes.py"
    wanted = run_native(sys.executable, script)
    check_equal(run(short_root(), PYTHON, script, limit_s=100), wanted, "output")


@program_case("a script's uncaught exception and a signal give Python's exit status")
def _(_):
    python = roots.words(short_root(), PYTHON, "-c")
    roots.execute([*python, "1/0"], status=1)
    roots.execute([*python, "import sys; sys.exit(200)"], status=200)
    roots.execute([*python, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"], status=-15)
    roots.execute([*python, "import os; os.abort()"], status=-6)


# ---- bash ----


@program_case("bash runs pipes, jobs, traps and substitutions as the host's bash does", limit_s=90)
def _(folder):
    script = WORKLOADS / "pipes.sh"
    (folder / "native").mkdir()
    (folder / "guest").mkdir()
    wanted = run_native(BASH, script, cwd=folder / "native")
    check_equal(run(short_root(), BASH, script, cwd=folder / "guest"), wanted, "output")


@program_case("bash controls jobs on a terminal", limit_s=90)
def _(_):
    shell = Doppel("-L", short_root(), short_root() / BASH, "--norc", "--noediting", "-i",
                   command="run", env=roots.environment(PS1="ready> ", TERM="dumb"))
    shell.type("exec 2>&1; stty -echo; echo be''gin")
    shell.expect("begin\r\n")

    def ask(line, answer):
        shell.type(line)
        shell.expect("ready> ")
        return shell.expect(answer)

    def in_foreground():
        """The keys' signals reach the job, no longer the shell."""
        tap.wait_until(lambda: os.tcgetpgrp(shell.fd) != shell.process.pid, 20, "the job")
        time.sleep(0.3 * tap.slowness)  # until it has executed its program, or gone on

    shell.type("sleep 100")
    in_foreground()
    shell.send("\x1a")
    shell.expect("Stopped")
    ask("jobs", r"\[1\]\+  Stopped +sleep 100")
    ask("bg", r"\[1\]\+ sleep 100 &")
    ask("jobs", r"Running +sleep 100 &")
    shell.type("fg")
    shell.expect("sleep 100\r\n")
    in_foreground()
    shell.send("\x03")
    ask("echo status $?", "status 130")
    ask("sleep 100 & kill %1; wait; echo do''ne", "done")
    ask("trap 'echo inter''rupted' INT; sleep 0.1; kill -INT $$", "interrupted")
    ask("cat | tr a-z A-Z", "")
    shell.type("upper")
    shell.send("\x04")
    shell.expect("UPPER")
    ask("stty size", r"32 100")
    ask("tty; test -t 1 && echo termi''nal", r"/dev/pts/\d+\r\nterminal")
    shell.send("exit 5\r")
    shell.check_exit(5)


@program_case("what a program executes is the tree's, not the host's")
def _(_):
    told = run(short_root(), BASH, "-c", "uname -m; readlink /proc/self/exe; python3 -c "
               "'import platform; print(platform.machine())'; type -p perl")
    readlink = str(short_root() / "usr/bin/readlink")
    check_equal(told.decode().split(), ["riscv64", readlink, "riscv64", "/usr/bin/perl"],
                "machines and paths")


# ---- perl, sqlite ----


@program_case("perl makes what the host's perl makes")
def _(_):
    script = WORKLOADS / "numbers.pl"
    wanted = run_native("perl", script)
    check_equal(run(short_root(), "usr/bin/perl", script), wanted, "output")


def sql_script(rows):
    """A script whose result depends on no version of sqlite."""
    lines = ["PRAGMA journal_mode=WAL;", "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, "
             "price REAL, parent INTEGER REFERENCES item);", "BEGIN;"]
    value = 12345
    for i in range(rows):
        value = (value * 1103515245 + 12345) % 2 ** 31
        lines.append(f"INSERT INTO item VALUES({i}, 'name-{value % 9973}', {value % 100000 / 8}, "
                     f"{value % (i + 1)});")
    lines += ["COMMIT;", "CREATE INDEX by_name ON item(name, price);",
              "SELECT count(*), sum(price), avg(length(name)) FROM item;",
              "SELECT a.name, count(*), max(b.price) FROM item a JOIN item b ON b.parent = a.id "
              "GROUP BY a.id HAVING count(*) > 8 ORDER BY 2 DESC, a.id LIMIT 20;",
              "WITH RECURSIVE up(id, depth) AS (SELECT 9999 % (SELECT count(*) FROM item), 0 UNION "
              "SELECT item.parent, depth + 1 FROM item, up WHERE item.id = up.id AND depth < 30) "
              "SELECT id, depth FROM up;",
              "UPDATE item SET price = price * 2 WHERE id % 3 = 0;",
              "DELETE FROM item WHERE name LIKE '%7%';",
              "SELECT name, printf('%.3f', price), row_number() OVER (ORDER BY price, id) "
              "FROM item ORDER BY price, id LIMIT 50;",
              "SELECT hex(group_concat(id)) FROM "
              "(SELECT id FROM item ORDER BY name, id LIMIT 900);",
              "PRAGMA integrity_check;", "VACUUM;", "SELECT count(*), total(price) FROM item;"]
    return "\n".join(lines)


@program_case("sqlite gives the answers of the host's sqlite", limit_s=120)
def _(folder):
    script = sql_script(200000 if tap.options.long else 20000)
    wanted = run_native("sqlite3", folder / "native.db", text=script)
    got = run(short_root(), "usr/bin/sqlite3", folder / "guest.db", text=script, limit_s=100)
    check_equal(got, wanted, "answers")
    sums = [run_native("sqlite3", folder / name, ".dump") for name in ("native.db", "guest.db")]
    check_equal(sums[1], sums[0], "what is in the files")


# ---- archives ----

def some_bytes(size):
    """Partly regular, partly not; always the same."""
    parts, total, i = [], 0, 0
    while total < size:
        part = hashlib.sha256(str(i // 3).encode()).digest() * (i % 5 + 1) + b"text %d\n" % i
        parts.append(part)
        total += len(part)
        i += 1
    return b"".join(parts)[:size]


@program_case("xz and zstd compress for the host's, and the other way round", limit_s=120)
def _(folder):
    data = some_bytes((20 if tap.options.long else 2) << 20)
    plain = folder / "data"
    plain.write_bytes(data)
    for program, options in (("xz", ["-6", "-T1"]), ("zstd", ["-9", "-q"])):
        packed = run(short_root(), f"usr/bin/{program}", *options, "-c", plain)
        check(len(packed) < len(data) * 9 // 10, f"{program} made {len(packed)} bytes")
        got = run_native(program, "-dc", text=packed)
        check_equal(got, data, f"{program}: packed by the guest")
        packed = run_native(program, *options, "-c", plain)
        got = run(short_root(), f"usr/bin/{program}", "-dc", text=packed)
        check_equal(got, data, f"{program}: packed by the host")
    packed = run(short_root(), "usr/bin/xz", "-1", "-T4", "--block-size=256KiB", "-c", plain)
    check_equal(run_native("xz", "-dc", text=packed), data, "xz with four threads")


def make_tree(folder):
    for i in range(200):
        place = folder / f"d{i % 7}" / f"e{i % 11}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file-{i}").write_bytes(some_bytes(i * 37))
    (folder / "link").symlink_to("d0/e0/file-0")
    (folder / ("long" * 40)).write_text("a long name")


@program_case("tar packs byte for byte as the host's tar, and unpacks")
def _(folder):
    tree = folder / "tree"
    make_tree(tree)
    options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner",
               "--format=gnu", "-C", tree, "-c", "."]
    wanted = run_native("tar", *options)
    check_equal(hashlib.sha256(run(short_root(), "usr/bin/tar", *options)).hexdigest(),
                hashlib.sha256(wanted).hexdigest(), "sum of the archive")
    again = folder / "again"
    again.mkdir()
    run(short_root(), "usr/bin/tar", "-C", again, "-x", text=wanted)
    run_native("diff", "-r", "--no-dereference", tree, again)
    packed = run(short_root(), "usr/bin/tar", "-I", "xz -1", *options)
    check_equal(run_native("xz", "-dc", text=packed), wanted, "the archive, packed by xz")


@program_case("openssl digests, encrypts and signs as the host's openssl", limit_s=120)
def _(folder):
    data = folder / "data"
    data.write_bytes(some_bytes(3 << 20))
    guest = [short_root(), "usr/bin/openssl"]
    for digest in ("sha256", "sha512", "sha3-256", "blake2b512", "sm3"):
        arguments = ["dgst", f"-{digest}", "-r", data]
        check_equal(run(*guest, *arguments), run_native("openssl", *arguments), digest)
    for cipher in ("aes-256-cbc", "aes-128-ctr", "chacha20", "camellia-192-cbc", "aria-256-cbc"):
        arguments = ["enc", f"-{cipher}", "-K", "00112233445566778899aabbccddeeff" * 2, "-iv",
                     "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "-in", data]
        if cipher == "aes-128-ctr":
            arguments[3] = arguments[3][:32]
        elif cipher == "camellia-192-cbc":
            arguments[3] = arguments[3][:48]
        check_equal(hashlib.sha256(run(*guest, *arguments)).hexdigest(),
                    hashlib.sha256(run_native("openssl", *arguments)).hexdigest(), cipher)
    for kind in (["-algorithm", "ED25519"],
                 ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                 ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]):
        key, public, signature = (folder / name for name in ("key", "public", "signature"))
        run(*guest, "genpkey", *kind, "-out", key)
        run_native("openssl", "pkey", "-in", key, "-pubout", "-out", public)
        data.write_bytes(b"to be signed")
        run(*guest, "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", data, "-out", signature)
        told = run_native("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin",
                          "-in", data, "-sigfile", signature)
        check_in(b"Verified Successfully", told, f"{kind[1]}: what the host's openssl says")


@program_case("openssl measures its speed", limit_s=90)
def _(_):
    for name in ("sha256", "aes-128-gcm", "chacha20-poly1305"):
        command = roots.words(short_root(), "usr/bin/openssl", "speed", "-seconds", "1", "-bytes",
                              "16384", "-evp", name)
        output = roots.execute(command).decode()
        figure = re.search(rf"^{name}\s+([\d.]+)k$", output, re.M | re.I)
        check(figure and float(figure[1]) > 100, f"{name}: {output}")


def add_options(parser):
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="how often to run what depends on chance")
    parser.add_argument("--reference", action="store_true",
                        help="under qemu-riscv64 instead of doppel")


if __name__ == "__main__":
    importlib.import_module("programs_long")
    roots.prefetch(*SHORT)
    tap.main(__doc__.splitlines()[0], add_options)
