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
import re
import sys
import time

import roots
import tap
from process import Doppel
from roots import run, run_native
from tap import case, check, check_equal, check_in

SHORT = ("python3", "bash", "coreutils", "perl-base", "sqlite3", "xz-utils", "zstd", "tar", "openssl")
PYTHON = "usr/bin/python3.13"
BASH = "usr/bin/bash"

# Cases that qemu-riscv64 7.2 does not pass, and why.
CANNOT_EXECUTE = "without binfmt_misc, its programs execute no riscv64 programs"
QEMU_CANNOT = {
    "Python's threads, processes, signals, sockets and asyncio work": CANNOT_EXECUTE,
    "Python's processes share work by fork, spawn and fork server": CANNOT_EXECUTE,
    "what a program executes is the tree's, not the host's": CANNOT_EXECUTE,
    "bash controls jobs on a terminal": CANNOT_EXECUTE,
}


def short_root():
    return roots.fetch(*SHORT)


def program_case(sentence, limit_s=roots.RUN_S, long=False):
    """A case that is skipped where the reference cannot do it."""
    def register(function):
        def wrapped(folder):
            if tap.options.reference and sentence in QEMU_CANNOT:
                raise tap.Skip(f"qemu-riscv64: {QEMU_CANNOT[sentence]}")
            function(folder)
        return case(sentence, limit_s=limit_s, long=long)(wrapped)
    return register


# ---- Python ----

# Does not depend on the version of Python.
COMPUTING = r"""
import base64, collections, decimal, fractions, hashlib, heapq, itertools, json, math, random
import re, statistics, string, struct, textwrap, zlib
random.seed(42, version=2)
words = ["".join(random.choice(string.ascii_lowercase) for _ in range(random.randint(1, 9)))
         for _ in range(20000)]
print(collections.Counter(words).most_common(7), hash(tuple(range(1000))))
print(hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest())
print(hashlib.md5(json.dumps({w: len(w) for w in words}, sort_keys=True).encode()).hexdigest())
print(2 ** 4000 % (10 ** 50 + 151), math.factorial(300) // 3 ** 200)
numbers = [random.gauss(0, 1) * 10 ** random.randint(-300, 300) for _ in range(5000)]
print(hashlib.sha1("".join(map(repr, numbers)).encode()).hexdigest(), repr(math.fsum(numbers)))
print([repr(f(0.7)) for f in (math.sqrt, math.floor, math.ceil, float.hex)])
decimal.getcontext().prec = 60
print(decimal.Decimal(2).sqrt(), fractions.Fraction(355, 113).limit_denominator(50))
print(zlib.crc32(zlib.decompress(zlib.compress(" ".join(words).encode(), 9))))
print(re.sub(r"(\w)(\w*?)(\1)", r"<\2>", " ".join(words[:200])))
print(struct.pack("<dfqIhb", math.pi, 2.5, -2 ** 62, 2 ** 32 - 1, -7, 3).hex())
print(base64.b85encode(bytes(range(256))).decode(), statistics.median(numbers[:99]))
print(sum(1 for p in itertools.permutations(range(7)) if p[0] < p[-1]))
grid = [[(x * y) % 7 for x in range(60)] for y in range(60)]
print(hashlib.sha256(str([[sum(a * b for a, b in zip(r, c)) for c in zip(*grid)]
                          for r in grid]).encode()).hexdigest())
def primes(n):
    sieve = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(sieve[i * i::i]))
    return sum(sieve[2:])
print(primes(200000))
"""


@program_case("Python computes what the host's Python computes")
def _(_):
    wanted = run_native(sys.executable, "-I", "-c", COMPUTING)
    check_equal(run(short_root(), PYTHON, "-I", "-c", COMPUTING), wanted, "output")


CONCURRENT = r"""
import asyncio, concurrent.futures, os, queue, signal, subprocess, sys, threading, time
counter, lock = 0, threading.Lock()
def count():
    global counter
    for _ in range(2000):
        with lock:
            counter += 1
threads = [threading.Thread(target=count) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print("threads", counter)
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print("pool", sum(pool.map(lambda n: n * n, range(500))))
out = subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1:], input())", "a b"],
                     input="from the parent", capture_output=True, text=True, check=True)
print("subprocess", out.stdout.strip())
print("status", subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode)
child = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"],
                         stdout=subprocess.PIPE)
child.stdout.readline()
child.terminate()
print("terminated", child.wait())
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as error:
    print("missing", error.errno)
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b"forked")
    os._exit(3)
print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
hits = []
signal.signal(signal.SIGALRM, lambda number, frame: hits.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(hits) < 5:
    time.sleep(1)
signal.setitimer(signal.ITIMER_REAL, 0)
print("signals", set(hits))
async def serve(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()
async def ask(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode() + b"\n")
    answer = await reader.read()
    writer.close()
    return answer
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("sockets", await asyncio.gather(*(ask(port, f"line {i}") for i in range(20))))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('async')",
                                                   stdout=asyncio.subprocess.PIPE)
    print("process", (await process.communicate())[0])
asyncio.run(main())
"""


@program_case("Python's threads, processes, signals, sockets and asyncio work", limit_s=90)
def _(_):
    wanted = run_native(sys.executable, "-I", "-c", CONCURRENT)
    check_equal(run(short_root(), PYTHON, "-I", "-c", CONCURRENT), wanted, "output")


MULTIPROCESSING = r"""
import multiprocessing as mp
def square(n):
    return n * n
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool:
            print(method, sum(pool.map(square, range(100))))
    with mp.Manager() as manager:
        shared = manager.dict()
        shared["key"] = "value"
        print(dict(shared))
"""


@program_case("Python's processes share work by fork, spawn and fork server", limit_s=120)
def _(folder):
    script = folder / "multi.py"
    script.write_text(MULTIPROCESSING)
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

SCRIPT = r"""
set -u
seq 1 2000 | sort -rn | head -5 | tr '\n' ' '; echo
printf '%s\n' {a..e}{1..3} | paste -sd, | sed 's/,/;/g'
declare -A table=([one]=1 [two]=2)
for key in "${!table[@]}"; do echo "$key=${table[$key]}"; done | sort
f() { local n=$1; (( n < 2 )) && { echo "$n"; return; }; echo $(( $(f $((n-1))) + $(f $((n-2))) )); }
f 9
cat <<END | while read -r line; do echo "<$line>"; done
a here document
with $((6 * 7)) lines
END
diff <(seq 1 5) <(seq 2 6); echo "diff $?"
(exit 3); echo "status $?"
false | true | (exit 4); echo "${PIPESTATUS[*]}"
trap 'echo trapped' USR1; kill -USR1 $$; trap 'echo bye' EXIT
for i in 1 2 3; do (sleep 0.0$i; exit $i) & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; echo "waited $?"; done
sleep 60 & kill $!; wait $!; echo "killed $?"
bash -c 'kill -SEGV $$'; echo "died $?"
coproc { read -r x; echo "got $x"; }; echo hello >&${COPROC[1]}; read -r answer <&${COPROC[0]}; echo "$answer"
mkdir d && echo text >d/f && cp d/f d/g && mv d/g d/h && ln -s h d/l && cat d/l && wc -c <d/h && ls d
[[ abc =~ ^(a)(.*)$ ]] && echo "${BASH_REMATCH[2]}"; echo "${PATH%%:*}" | md5sum
nothing-like-this 2>/dev/null; echo "not found $?"
[ -t 0 ] || echo "no terminal"; ulimit -n 100; ulimit -n
"""


@program_case("bash runs pipes, jobs, traps and substitutions as the host's bash does", limit_s=90)
def _(folder):
    results = []
    for name, execute in (("native", run_native), ("guest", lambda *a, **o: run(short_root(), *a, **o))):
        place = folder / name
        place.mkdir()
        results.append(execute(BASH, "-c", SCRIPT, cwd=place))
    check_equal(results[1], results[0], "output")


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

    shell.type("sleep 100")
    time.sleep(0.5 * tap.slowness)
    shell.send("\x1a")
    shell.expect("Stopped")
    ask("jobs", r"\[1\]\+  Stopped +sleep 100")
    ask("bg", r"\[1\]\+ sleep 100 &")
    ask("jobs", r"Running +sleep 100 &")
    shell.type("fg")
    shell.expect("sleep 100\r\n")
    time.sleep(0.3 * tap.slowness)
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
    check_equal(told.decode().split(), ["riscv64", str(short_root() / "usr/bin/readlink"), "riscv64",
                                        "/usr/bin/perl"], "machines and paths")


# ---- perl, sqlite ----

PERL = r"""
use strict; use warnings;
my ($seed, @numbers) = (1);
for (1 .. 20000) { $seed = ($seed * 1103515245 + 12345) % 2147483648; push @numbers, $seed; }
my %count; $count{$_ % 97}++ for @numbers;
print join(",", map { "$_=$count{$_}" } sort { $count{$b} <=> $count{$a} || $a <=> $b } keys %count), "\n";
printf "%.15g %s %s\n", eval { my $s = 0; $s += sqrt $_ for @numbers; $s }, 10 / 3, 1e21 + 1;
my $text = join " ", map { sprintf "%x", $_ } @numbers[0 .. 999];
my $n = () = $text =~ /([a-f])\d+\1/g; print "$n ", ($text =~ tr/a-f//), "\n";
(my $copy = $text) =~ s/(\w+) (\w+)/$2 $1/g; print substr($copy, 0, 200), "\n";
print unpack("H*", pack("NnCd>w", 1, 2, 3, 1.5, 1 << 40)), " ", crypt_free(), "\n";
sub crypt_free { my $h = 5381; $h = ($h * 33 + ord) & 0xffffffff for split //, $text; return $h; }
my @sorted = sort { $a <=> $b } @numbers; print "@sorted[0 .. 4] @sorted[-5 .. -1]\n";
open(my $pipe, "-|", "echo from a pipe") or die; print <$pipe>; close $pipe;
my $pid = fork // die; if (!$pid) { exit 9 } waitpid $pid, 0; print $? >> 8, "\n";
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 5;
print join("|", map { ucfirst lc } "some WORDS here" =~ /\w+/g), " ", "a" x 5, "\n";
my @nested = ([1, [2, 3]], { k => [4] }); print $nested[0][1][1] + $nested[1]{k}[0], "\n";
"""


@program_case("perl makes what the host's perl makes")
def _(_):
    wanted = run_native("perl", "-e", PERL)
    check_equal(run(short_root(), "usr/bin/perl", "-e", PERL), wanted, "output")


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
              "SELECT name, printf('%.3f', price), row_number() OVER (ORDER BY price, id) FROM item "
              "ORDER BY price, id LIMIT 50;",
              "SELECT hex(group_concat(id)) FROM (SELECT id FROM item ORDER BY name, id LIMIT 900);",
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
        check_equal(run_native(program, "-dc", text=packed), data, f"{program}: packed by the guest")
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
    for kind in (["-algorithm", "ED25519"], ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
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
    tap.main(__doc__.splitlines()[0], add_options)
