# SPDX-License-Identifier: Apache-2.0
"""The cases of programs_test.py that take minutes and large packages: Python's own tests,
gcc, node, redis, stress-ng, Java."""
import re
import socket
import subprocess
import textwrap

import roots
import tap
from roots import program_case, run, run_native, run_reference
from tap import check, check_equal, check_in

PYTHON_TESTS = ("python3", "libpython3.13-testsuite", "dash", "coreutils", "procps")
GCC = ("gcc", "libc6-dev")
CC1 = "usr/libexec/gcc/riscv64-linux-gnu/14/cc1"
REDIS = ("redis-server", "redis-tools")
JDK = ("openjdk-21-jdk-headless",)
JAVA = "usr/lib/jvm/java-21-openjdk-riscv64/bin"


def long_case(sentence, limit_s=120):
    return program_case(sentence, limit_s=limit_s, long=True)


# ---- Python's own tests ----

def python_test(name):
    @long_case(f"Python's own {name} passes")
    def _(folder):
        root = roots.fetch(*PYTHON_TESTS)
        # One test of test_ctypes builds a library with the gcc that it finds: the host's.
        output = run(root, "usr/bin/python3.13", "-m", "test", "-v", "-i", "test_null_dlsym",
                     name, cwd=folder, limit_s=1000,
                     env=roots.environment(TMPDIR=str(folder)))
        check_in(b"Result: SUCCESS", output[-500:], "the last lines")
        found = re.search(rb"Total tests: run=([\d,]+)", output)
        check(found and int(found[1].replace(b",", b"")) > 0, "no test ran")


for test in ("test_json", "test_re", "test_subprocess", "test_threading", "test_signal",
             "test_socket", "test_asyncio", "test_mmap", "test_os", "test_posix", "test_float",
             "test_math", "test_pty", "test_fork1", "test_ctypes", "test_decimal"):
    python_test(test)


# ---- gcc ----

def other(i):
    """A call of an earlier function, now and then."""
    return f" + f{i // 2}(r % 3, s) % 7" if i % 9 == 5 else ""


def c_program(functions):
    """About ten lines for each function; prints one number."""
    lines = ["#include <stdio.h>", "#include <string.h>", "typedef unsigned long u;",
             "struct s { u a; int b; double d; char t[16]; };"]
    for i in range(functions):
        lines += [f"static u f{i}(u x, struct s *s)", "{",
                  f"    u r = x ^ {i * 2654435761 % 2 ** 32}ul;",
                  f"    for (u i = 0; i < (x & {i % 13 + 1}); i++)",
                  f"        r += (r << {i % 31 + 1}) ^ (s->a >> {i % 7}), s->b += (int)r;",
                  f"    s->d = s->d * 0.5 + (double)(r % {i + 3});",
                  f"    switch (r % 5) {{ case 0: r /= {i % 97 + 1}; break; case 1: r *= {i | 1};",
                  f"    break; case 2: s->t[r & 15] ^= {i % 100}; break; default: r -= s->a; }}",
                  f"    return s->a = r + (u)s->b + (u)(long)s->d{other(i)};", "}"]
    lines += ["int main(void)", "{", "    struct s s; u x = 1; memset(&s, 0, sizeof(s));",
              "    for (int n = 0; n < 50; n++) {",
              *(f"        x += f{i}(x, &s);" for i in range(functions)),
              '    }', '    printf("%lu %d %.17g\\n", x, s.b, s.d); return 0;', "}"]
    return "\n".join(lines) + "\n"


@long_case("gcc makes of 20000 lines the assembly that it makes under qemu-riscv64", limit_s=180)
def _(folder):
    source = folder / "large.c"
    source.write_text(c_program(1900))
    check(source.read_text().count("\n") > 20000, "the source has 20000 lines")
    root = roots.fetch(*GCC)
    arguments = ["-quiet", "-march=rv64gc", "-mabi=lp64d", "-isystem",
                 root / "usr/include/riscv64-linux-gnu", "-isystem", root / "usr/include", "-O1",
                 source, "-o"]
    run(root, CC1, *arguments, folder / "guest.s", limit_s=1500)
    run_reference(root, CC1, *arguments, folder / "reference.s", limit_s=1500)
    guest, reference = ((folder / name).read_bytes() for name in ("guest.s", "reference.s"))
    check(len(guest) > 100000, "the assembly is short")
    check(guest == reference, "the assembly differs")


@long_case("gcc builds a program with its assembler and linker that computes as the host's",
           limit_s=120)
def _(folder):
    source = folder / "program.c"
    source.write_text(c_program(300))
    root = roots.fetch(*GCC)
    results = []
    for level in ("-O0", "-O2", "-O3"):
        output = folder / f"program{level}"
        run(root, "usr/bin/riscv64-linux-gnu-gcc-14", level, "-ffp-contract=off", "-g", source,
            "-o", output, cwd=folder, limit_s=600)
        results.append(roots.execute([*roots.emulator(root), str(output)]))
    run_native("gcc", "-O1", "-ffp-contract=off", source, "-o", folder / "native")
    wanted = roots.execute([str(folder / "native")])
    check_equal(results, [wanted] * 3, "what the programs print")


# ---- node ----


@long_case("node computes, compiles, works in threads and serves as the host's node", limit_s=90)
def _(_):
    script = roots.WORKLOADS / "work.js"
    wanted = run_native("node", script)
    for _ in range(tap.options.repeat):
        got = run(roots.fetch("nodejs"), "usr/bin/node", script, limit_s=600)
        check_equal(got, wanted, "output")


# ---- redis ----

def ask_redis(port, *arguments):
    """One command; its answer as it comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        text = f"*{len(arguments)}\r\n" + "".join(f"${len(a)}\r\n{a}\r\n" for a in arguments)
        connection.sendall(text.encode())
        return connection.recv(65536).decode()


def is_listening(port):
    try:
        return ask_redis(port, "PING") == "+PONG\r\n"
    except OSError:
        return False


@long_case("redis serves, saves in a fork and is measured over loopback", limit_s=120)
def _(folder):
    root, port = roots.fetch(*REDIS), roots.free_port()
    roots.start(root, "usr/bin/redis-server", "--port", port,
                "--dir", folder, "--save", "", cwd=folder, stdout=subprocess.DEVNULL)
    tap.wait_until(lambda: is_listening(port), 60, "redis to listen")
    for i in range(300):
        ask_redis(port, "SET", f"key{i}", "v" * i)
    check_equal(ask_redis(port, "STRLEN", "key299"), ":299\r\n", "the length of a value")
    answer = ask_redis(port, "EVAL", "return redis.call('DBSIZE') * 2", "0")
    check_equal(answer, ":600\r\n", "what Lua computes")
    output = run(root, "usr/bin/redis-benchmark", "-p", port, "-q", "-n", 20000, "-c", 20, "-P", 4,
                 "-t", "set,get,incr,lpush,lrange_100,mset", limit_s=900).decode()
    rows = re.findall(r"([A-Z][\w ()]*): ([\d.]+) requests per second", output)
    check(len(rows) >= 6 and all(float(rate) > 100 for _, rate in rows), f"figures: {output}")
    check_in("OK", ask_redis(port, "SET", "last", "one"), "answer")
    check_in("Background saving started", ask_redis(port, "BGSAVE"), "answer")
    tap.wait_until((folder / "dump.rdb").exists, 60, "the file of the fork")
    tap.wait_until(lambda: "rdb_bgsave_in_progress:0" in ask_redis(port, "INFO", "persistence"), 60,
                   "the end of the fork")
    check_in("rdb_last_bgsave_status:ok", ask_redis(port, "INFO", "persistence"), "what redis says")


# ---- stress-ng ----

STRESSORS = """
    access affinity af-alg aio bigheap brk cache chdir clock clone context cpu dentry dup epoll
    eventfd fault fcntl fork fstat futex get getdent hdd icache inotify itimer kill malloc matrix
    memcpy mmap mprotect mq mremap msg mutex nanosleep open pipe poll pthread qsort rename sem
    sem-sysv sendfile shm shm-sysv sigfd sigfpe signal sigpending sigq sigsegv sigsuspend sleep
    sock splice stack stream switch symlink tee timer timerfd tsearch udp vecmath vfork vm wait
    xattr zlib
""".split()


def stressor(name):
    @long_case(f"stress-ng --verify finds no fault in {name}", limit_s=30)
    def _(folder):
        options = ["--verify", "-t", "2s", "--oomable", "--no-rand-seed", "--temp-path", folder]
        output = run(roots.fetch("stress-ng"), "usr/bin/stress-ng", f"--{name}", 2, *options,
                     cwd=folder, limit_s=120).decode()
        check("fail:" not in output and "error:" not in output, output[-800:])


for stressor_name in STRESSORS:
    stressor(stressor_name)


# ---- Java ----


def java(*arguments, **options):
    return run(roots.fetch(*JDK), f"{JAVA}/java", *arguments, **options)


def javac(*arguments, **options):
    # 17: so that the host's java can run it, too.
    return run(roots.fetch(*JDK), f"{JAVA}/javac", "--release", "17", *arguments, **options)


@long_case("java tells its version", limit_s=30)
def _(_):
    for _ in range(tap.options.repeat):
        check_in(b"openjdk 21.", java("--version"), "version")


@long_case("javac compiles 500 classes, and they run", limit_s=120)
def _(folder):
    for i in range(500):
        parent = f" extends C{i // 2}" if i else ""
        (folder / f"C{i}.java").write_text(textwrap.dedent(f"""
            import java.util.*;
            public class C{i}{parent} {{
                private final Map<String, Integer> map{i} = new HashMap<>();
                interface Step {{ long of(long x); }}
                public long value(long x) {{
                    map{i}.merge("k" + x % 3, 1, Integer::sum);
                    Step step = y -> y * {i + 3} + map{i}.size();
                    return step.of(x){' ^ super.value(x)' if i else ''};
                }}
            }}
            """))
    calls = " + ".join(f"new C{i}().value({i})" for i in range(0, 500, 25))
    (folder / "Main.java").write_text("public class Main { public static void main(String[] a) { "
                                      f"System.out.println({calls}); }} }}")
    sources = [path.name for path in sorted(folder.glob("*.java"))]
    for _ in range(tap.options.repeat):
        javac("-d", "out", *sources, cwd=folder, limit_s=900)
    check(len(list((folder / "out").glob("C*.class"))) >= 500, "classes are missing")
    wanted = run_native("java", "-cp", "out", "Main", cwd=folder)
    check_equal(java("-cp", "out", "Main", cwd=folder), wanted, "what they compute")


def java_collector(name, *options):
    @long_case(f"Java's threads allocate, fault and wait under {name}", limit_s=120)
    def _(folder):
        javac("-d", folder, roots.WORKLOADS / "Work.java")
        wanted = run_native("java", "-cp", folder, "Work", limit_s=120)
        for _ in range(tap.options.repeat):
            got = java(*options, "-Xmx256m", "-cp", folder, "Work", limit_s=900)
            check_equal(got.decode(), wanted.decode(), "output")


java_collector("the serial collector", "-XX:+UseSerialGC")
java_collector("the parallel collector", "-XX:+UseParallelGC")
java_collector("G1", "-XX:+UseG1GC")
java_collector("ZGC", "-XX:+UseZGC")
java_collector("generational ZGC", "-XX:+UseZGC", "-XX:+ZGenerational")
java_collector("the interpreter alone", "-Xint", "-XX:+UseSerialGC")
java_collector("C2 without tiers", "-XX:-TieredCompilation")
