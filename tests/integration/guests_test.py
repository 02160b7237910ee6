#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that make code while they run, patch it, and check their own results:
Debian's kernel that patches itself, and what Debian's packages bring.

    guests_test.py DOPPEL [--long] [--only REGEX]
"""
import re

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


if __name__ == "__main__":
    guests.fetch_all()
    tap.main(__doc__.splitlines()[0])
