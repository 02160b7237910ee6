#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that make code while they run, patch it, and check their own results:
Debian's kernel that patches itself, and what Debian's packages bring.

    guests_test.py DOPPEL [--long] [--only REGEX]
"""
import re
import subprocess

import guests
import tap
from process import Doppel
from tap import case, check, check_equal, check_in

BOOT_S = 120
READY = "doppel: guest is ready"


def run_guest(command, *arguments, modules="", limit_s=BOOT_S, **options):
    """Runs the shell command as the guest's init; returns what it printed."""
    machine = Doppel("--kernel", guests.kernel(), "--initrd", guests.initramfs(modules, command),
                     "--append", "loglevel=4", *arguments, terminal=False, **options)
    machine.check_exit(0, limit_s)
    output = bytes(machine.output).decode(errors="replace").replace("\r", "")
    tap.check_in("doppel: exit 0", output, "output")
    for sign in ("Oops", "BUG:", "WARNING:", "stall", "panic"):
        check(sign not in output, f"the kernel complains: {output[-1500:]}")
    return machine, output


# ---- a kernel that patches itself ----

# Something for the other hart to run in the code that is patched.
LOAD = """
load() { while [ ! -e /tmp/stop ]; do
    dd if=/dev/zero bs=4k count=64 2>/dev/null | md5sum; (exit 0); cat /proc/stat; done >/tmp/$1; }
load 1 & load 2 &
"""

TRACERS = LOAD + """
T=/sys/kernel/tracing
mount -t tracefs tracefs $T || exit 2
i=0
while [ $i -lt ROUNDS ]; do
    for tracer in function function_graph nop; do
        echo $tracer >$T/current_tracer || exit 3
        [ $tracer = nop ] || grep -q 'vfs_read' $T/trace || exit 4
    done
    echo "round $i"
    i=$((i + 1))
done
# At the entry, where the tracers patch, this kernel takes no probe.
echo 'p:first vfs_read+8' >$T/kprobe_events && echo 'p:second vfs_write+8' >>$T/kprobe_events ||
    exit 5
i=0
while [ $i -lt ROUNDS ]; do
    echo 1 >$T/events/kprobes/enable || exit 6
    dd if=/proc/uptime of=/tmp/uptime 2>/dev/null
    echo 0 >$T/events/kprobes/enable || exit 7
    i=$((i + 1))
done
[ $(awk '$2 >= ROUNDS && $3 == 0' $T/kprobe_profile | wc -l) = 2 ] || exit 8
for events in sched irq syscalls; do  # static keys, and jumps over them
    echo 1 >$T/events/$events/enable && sleep 0.1 || exit 9
done
grep -q sched_switch $T/trace && grep -q 'sys_read(' $T/trace || exit 10
for events in sched irq syscalls; do echo 0 >$T/events/$events/enable || exit 11; done
touch /tmp/stop
wait
echo "probed"
"""


def check_tracers(rounds, *arguments, limit_s=BOOT_S):
    _, output = run_guest(TRACERS.replace("ROUNDS", str(rounds)), *arguments, limit_s=limit_s)
    check_equal(len(re.findall(r"^round \d+$", output, re.M)), rounds, "rounds of tracers")
    check_in("probed", output, "output")


@case("the kernel patches its code on two harts: tracers, probes, static keys", limit_s=180)
def _(_):
    check_tracers(2, "--cpus", 2)


@case("the kernel patches its code on four harts, often", limit_s=600, long=True)
def _(_):
    check_tracers(20, "--cpus", 4, limit_s=1800)


MODULES = LOAD + """
i=0
while [ $i -lt ROUNDS ]; do
    for name in loop ext4 jbd2 mbcache; do rmmod $name || exit 3; done
    for name in mbcache jbd2 ext4 loop; do insmod /lib/modules/$name.ko || exit 4; done
    truncate -s 8M /tmp/disk$i
    mke2fs -F /tmp/disk$i >/dev/null || exit 5
    mkdir -p /tmp/mount$i
    mount -o loop -t ext4 /tmp/disk$i /tmp/mount$i || exit 6
    dd if=/dev/zero bs=64k count=40 2>/dev/null | tr '\\0' x >/tmp/mount$i/x || exit 7
    echo 3 >/proc/sys/vm/drop_caches
    md5sum </tmp/mount$i/x
    umount /tmp/mount$i || exit 8
    rm /tmp/disk$i
    i=$((i + 1))
done
touch /tmp/stop
wait
"""


@case("modules leave and come back while the kernel works", limit_s=180)
def _(_):
    rounds = 20 if tap.options.long else 2
    _, output = run_guest(MODULES.replace("ROUNDS", str(rounds)), "--cpus", 2,
                          modules="crc32c_generic,loop,ext4", limit_s=600)
    sums = re.findall(r"^([0-9a-f]{32})  -$", output, re.M)
    check_equal(len(sums), rounds, "sums of a file")
    check_equal(len(set(sums)), 1, "different sums")


BPF = """
rmmod test_bpf || exit 3
dmesg -c >/dev/null
echo 1 >/proc/sys/net/core/bpf_jit_enable || exit 4
insmod /lib/modules/test_bpf.ko || exit 5
dmesg | grep 'test_bpf: .*Summary'
dmesg | grep 'test_bpf: .*FAIL[^E]'
rmmod test_static_keys && insmod /lib/modules/test_static_keys.ko || exit 6
"""


@case("the kernel's own tests of BPF programs, compiled, and of static keys pass", limit_s=600,
      long=True)
def _(_):
    _, output = run_guest(BPF, "--cpus", 2, limit_s=1800,
                          modules="test_static_key_base,test_static_keys,test_bpf")
    summaries = re.findall(r"Summary: (\d+) PASSED, (\d+) FAILED, \[(\d+)/\d+ JIT'ed\]", output)
    check_equal(len(summaries), 2, f"summaries in {output[-1500:]}")
    for passed, failed, compiled in summaries:
        check_equal(failed, "0", "failed")
        check(int(passed) > 0 and int(compiled) > 0, f"nothing ran: {summaries}")


# ---- Debian's packages, from a disk ----

CHROOT = """
mkdir /mnt && mount -t ext4 /dev/vda /mnt || exit 2
for name in dev proc sys tmp; do mount --bind /$name /mnt/$name || exit 3; done
cat /dev/vdb >/mnt/tmp/job
chroot /mnt /bin/busybox sh -e /tmp/job
"""


def run_packages(folder, packages, script, *arguments, limit_s):
    """Runs the script in a root with the packages; returns its output."""
    job = folder / "job"
    text = script.encode()
    job.write_bytes(text + b"\n" * (-len(text) % 4096))
    _, output = run_guest(CHROOT, "--memory", "2G", *arguments, "--disk",
                          f"{guests.root_disk(*packages)},snapshot", "--disk", job,
                          modules="crc32c_generic,virtio_blk,virtio_pci,ext4", limit_s=limit_s)
    return output


STRESSORS = ("cpu vm atomic futex fork mmap signal switch sem pthread malloc icache tlb-shootdown "
             "context mprotect mutex membarrier sigsegv fp vecfp matrix vm-rw userfaultfd rseq "
             "mremap clone vfork sigfpe timer qsort crypt funccall memcpy hash prime sigill "
             "bad-altstack sigtrap goto longjmp msg pipe")


def check_stress(folder, cpus):
    script = f"""cd /tmp
for name in {STRESSORS}; do
    stress-ng --$name {max(2, cpus)} --verify --timeout 3s --oomable --quiet 2>&1 &&
        echo "$name passed"
done"""
    output = run_packages(folder, ("stress-ng",), script, "--cpus", cpus, limit_s=900)
    for name in STRESSORS.split():
        check_in(f"\n{name} passed\n", output, "output")


@case("stress-ng finds nothing wrong on one, two and four harts", limit_s=400, long=True)
def _(folder):
    for cpus in (1, 2, 4):
        check_stress(folder, cpus)


NODE = """
const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);
let sum = 0;
for (let i = 0; i < 200; i++) {
  const made = new Function('x', 'return x * ' + i + ' + ' + i);
  for (let j = 0; j < 2000; j++) sum = (sum + made(j)) % 1000003;
}
console.log('node', fib(27), sum);
const { Worker } = require('worker_threads');
const shared = new SharedArrayBuffer(4);
const add = `const a = new Int32Array(require('worker_threads').workerData);
             for (let i = 0; i < 100000; i++) Atomics.add(a, 0, 1);`;
let ended = 0;
for (let i = 0; i < 3; i++)
  new Worker(add, { eval: true, workerData: shared }).on('exit', () => {
    if (++ended === 3) console.log('workers', new Int32Array(shared)[0]);
  });
"""

PYTHON = """
import hashlib, math, threading, zlib
sieve = bytearray(b"\\1") * 1000000
for i in range(2, 1000):
    if sieve[i]:
        sieve[i * i::i] = bytes(len(range(i * i, len(sieve), i)))
packed = zlib.compress(b"abc" * 9999)
print("python", sum(sieve) - 2, math.gamma(1.5).hex(), zlib.crc32(packed))
sums = []
threads = [threading.Thread(target=lambda i=i: sums.append(sum(x * x for x in range(i * 9999))))
           for i in range(8)]
[x.start() for x in threads], [x.join() for x in threads]
print("threads", hashlib.sha256(repr(sorted(sums)).encode()).hexdigest())
"""

# Wraps on purpose; the sum of a harmonic series shows every rounding.
PROGRAM_IN_C = """
#include <stdio.h>
int main(void)
{
    unsigned hash = 1;
    float sum = 0;
    for (int i = 1; i < 1000000; i++) {
        hash = hash * 1664525u + 1013904223u;
        sum += 1.0f / i;
    }
    printf("c %u %a\\n", hash, sum);
}
"""

LANGUAGES = f"""
export PATH=/usr/bin:/bin
cd /tmp
cat >a.js <<'end'
{NODE}
end
cat >a.py <<'end'
{PYTHON}
end
cat >a.c <<'end'
{PROGRAM_IN_C}
end
node a.js
node --no-opt a.js
python3 a.py
gcc -O2 -o a a.c && ./a
gcc -O0 -o a a.c && ./a
"""


def own_result(folder, source, name, *command):
    """What the same source prints on the host."""
    if not guests.has_program(command[0]):
        raise tap.Skip(f"{command[0]} is missing")
    (folder / name).write_text(source)
    result = subprocess.run([*command, name], cwd=folder, stdout=subprocess.PIPE, check=True,
                            timeout=60)
    return result.stdout.decode()


@case("node, Python and gcc compute in the guest what they compute here", limit_s=180, long=True)
def _(folder):
    python = own_result(folder, PYTHON, "a.py", "python3")
    own_result(folder, PROGRAM_IN_C, "a.c", "gcc", "-o", "a")
    program = subprocess.run([folder / "a"], stdout=subprocess.PIPE, check=True).stdout.decode()
    output = run_packages(folder, ("gcc", "libc6-dev", "nodejs", "python3"), LANGUAGES, "--cpus",
                          2, limit_s=900)
    check_equal(output.count(python), 1, f"Python's {python!r} in {output!r}")
    check_equal(output.count(program), 2, f"C's {program!r} in {output!r}")
    check_equal(output.count("node 196418 780543\nworkers 300000\n"), 2, f"node's in {output!r}")


# Threads, objects that are collected, exceptions out of compiled code, threads that move.
JAVA = """
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;

public class P {
    static long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

    public static void main(String[] words) throws Exception {
        var counts = new ConcurrentHashMap<Integer, Integer>();
        IntStream.range(0, 400000).parallel().forEach(i -> counts.merge(i % 1000, i, Integer::sum));
        long sum = 0;
        for (int count : counts.values()) sum += count;
        int thrown = 0;
        for (int i = 0; i < 30000; i++) {
            try {
                Object object = i % 3 == 0 ? null : words;
                object.hashCode();
            } catch (NullPointerException exception) {
                thrown++;
            }
        }
        var blocks = new ArrayList<byte[]>();
        for (int i = 0; i < 20000; i++) {
            blocks.add(new byte[10000]);
            if (blocks.size() > 1000) blocks.subList(0, 500).clear();
        }
        var total = new AtomicLong();
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 2000; i++) {
                final int own = i;
                threads.submit(() -> { Thread.sleep(1); return total.addAndGet(own); });
            }
        }
        System.out.println("java " + fib(30) + " " + sum + " " + thrown + " " + blocks.size() + " "
                           + total);
    }
}
"""

RUN_JAVA = f"""
export PATH=/usr/lib/jvm/java-21-openjdk-riscv64/bin:/bin
cd /tmp
cat >P.java <<'end'
{JAVA}
end
javac P.java
for how in -Xint -XX:TieredStopAtLevel=1 -XX:-TieredCompilation -XX:+UseZGC -XX:+UseSerialGC; do
    java $how P
done
"""


@case("Java runs interpreted, with either compiler and three collectors", limit_s=180, long=True)
def _(folder):
    output = run_packages(folder, ("openjdk-21-jdk-headless",), RUN_JAVA, "--cpus", 2,
                          limit_s=1500)
    line = "java 832040 79999800000 10000 1000 1999000"
    check_equal(output.count(line), 5, f"right lines in {output!r}")


if __name__ == "__main__":
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])
