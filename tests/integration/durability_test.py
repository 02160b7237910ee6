#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Debian's own programs in a guest made durable is there after doppel was killed, and what
becomes of images that others change.

    durability_test.py DOPPEL [--long] [--only REGEX]

Each round is a boot from the same overlay. The guest first looks at what the round before
left, then writes until doppel gets SIGKILL at a random moment; with --long there are a
hundred rounds of each program.
"""
import os
import random
import re
import signal
import subprocess
import time

import guests
import tap
from process import Doppel
from tap import case, check, check_equal

BOOT_S = 120
ROUNDS, ROUNDS_LONG = 2, 100
LONGEST_S = 2.5  # that it writes
VERSIONS = 9

# The root is on a disk of its own; the last program of the initramfs goes on there.
INIT = """
mkdir /mnt
mount -t ext4 /dev/vda /mnt || exit 2
mount -t proc proc /mnt/proc
mount -t devtmpfs devtmpfs /mnt/dev
mkdir -p /mnt/work
mount -t tmpfs tmpfs /mnt/work
cp /work/* /mnt/work
export PATH=/work/bin:/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive
mkdir /mnt/work/bin
chroot /mnt /usr/bin/busybox --install -s /work/bin
rm -f /mnt/work/bin/dpkg* /mnt/work/bin/tar
word() { tr ' ' '\\n' </proc/cmdline | sed -n "s/^$1=//p"; }
chroot /mnt sh /work/guest $(word round) $(word mode)
"""

# Rows and their round are counted; each commit is on stable storage before it is named.
# The table of a round that was killed has the rows 1 to `last`, and perhaps one more.
SQLITE = """
round=$1 mode=$2 n=0
{
    echo ".bail on"
    echo "pragma journal_mode=$mode; pragma synchronous=extra;"
    echo "create table if not exists t(round int, n int, data text, primary key(round, n));"
    echo "select 'integrity', integrity_check from pragma_integrity_check;"
    echo "select 'before', max(n), count(*), sum(length(data)) from t where round=$((round - 1));"
    while true; do
        n=$((n + 1))
        echo "insert into t values($round, $n, hex(randomblob(1000)));"
        echo "select 'flushed $n.';"
    done
} | sqlite3 -batch /base.db
"""

# Before it is installed again, a package may be half installed, but each of its files is
# of one version, and dpkg knows the way out.
# busybox has a dpkg of its own, which its shell would take.
DPKG = """
round=$1
cd /
mkdir -p /var/log
for name in info updates triggers parts alternatives; do mkdir -p /var/lib/dpkg/$name; done
[ -e /var/lib/dpkg/status ] || : >/var/lib/dpkg/status
install() { /usr/bin/dpkg --force-bad-path --log=/dev/null -i "/work/crash_$1.deb" >/work/log 2>&1; }
/usr/bin/dpkg --force-bad-path --configure -a >/work/log 2>&1
echo "before $(dpkg-query -W -f '${Version} ${db:Status-Status}' crash 2>/dev/null)."
echo "files $(cat /opt/crash/*[0-9] 2>/dev/null | sort | uniq -c | tr -s ' \\n' ' ')."
install 1 || { cat /work/log; exit 4; }
[ -z "$(/usr/bin/dpkg --audit)" ] || exit 5
n=1
while true; do
    n=$((n % 9 + 1))
    echo "installing $n."
    install $n || { cat /work/log; exit 6; }
    echo "flushed $n."
done
"""

FILES, LINES = 20, 300


def make_packages(folder):
    """Packages that differ in their version and in what their files say."""
    if not guests.has_program("dpkg-deb"):
        raise tap.Skip("dpkg-deb is missing")
    for version in range(1, VERSIONS + 1):
        tree = folder / f"tree{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "opt/crash").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: crash\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: none <none@example.org>\nDescription: files of one version\n")
        for number in range(FILES):
            (tree / f"opt/crash/{number}").write_text(f"version-{version}\n" * LINES)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-b", str(tree),
                        str(folder / f"crash_{version}.deb")], check=True,
                       stdout=subprocess.DEVNULL)
        yield folder / f"crash_{version}.deb"


class Rounds:
    """Boots from one overlay that end by SIGKILL."""

    def __init__(self, folder, script, files=(), mode="-"):
        for name in ("e2fsck", "mke2fs"):
            if not guests.has_program(name):
                raise tap.Skip(f"{name} is missing")
        base = guests.root_disk("dpkg", "sqlite3")
        (folder / "guest").write_text(script)
        self.folder, self.mode = folder, mode
        self.disk = folder / "disk"
        self.image("create", self.disk, "--base", base)
        added = tuple(f"{path}:work/{path.name}" for path in (folder / "guest", *files))
        self.initramfs = guests.initramfs("virtio_blk,crc32c_generic,ext4", INIT, added)
        seed = int.from_bytes(os.urandom(4), "little")
        tap.comment(f"seed {seed}")
        self.chance = random.Random(seed)
        self.flushed = 0

    def image(self, *words):
        subprocess.run([str(tap.options.doppel), "image", *map(str, words)], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)

    def kill(self, number, begun):
        """A round; returns what it said, once `begun` was seen and a random time is over."""
        machine = Doppel("--kernel", guests.kernel(), "--initrd", self.initramfs, "--append",
                         f"loglevel=4 round={number} mode={self.mode}", "--disk", self.disk,
                         terminal=False)
        machine.expect(begun, BOOT_S)
        end = time.monotonic() + self.chance.uniform(0, LONGEST_S)
        while time.monotonic() < end:
            machine.read(0.01)
        check(machine.is_alive(), f"round {number} ended: {bytes(machine.output[-400:])!r}")
        machine.kill(signal.SIGKILL)
        machine.process.wait()
        while machine.read(0.1):
            pass
        text = bytes(machine.output).decode(errors="replace").replace("\r", "")
        machine.end()
        self.flushed += len(re.findall(r"flushed \d+\.", text))
        self.check_disk(number)
        return text

    def check_disk(self, number):
        """The overlay opens, and its file system is clean once the journal is replayed."""
        raw = self.folder / "raw"
        raw.unlink(missing_ok=True)
        self.image("check", self.disk)
        self.image("convert", self.disk, raw)
        subprocess.run(["e2fsck", "-E", "journal_only", "-p", str(raw)], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result = subprocess.run(["e2fsck", "-f", "-n", str(raw)], capture_output=True, text=True,
                                check=False)
        check_equal(result.returncode, 0, f"e2fsck in round {number} ({result.stdout})")

    def count(self):
        return ROUNDS_LONG if tap.options.long else ROUNDS


def last_flushed(text):
    found = re.findall(r"flushed (\d+)\.", text)
    return int(found[-1]) if found else 0


def check_rows(text, number, last):
    """What round `number` found of the one before."""
    check("integrity|ok" in text, f"round {number}: {text[-400:]!r}")
    if number == 1:
        return
    match = re.search(r"before\|(\d*)\|(\d+)\|(\d*)\n", text)
    rows = int(match.group(1) or 0)
    check(last <= rows <= last + 1, f"round {number}: {last} rows were committed, {rows} are there")
    check_equal((int(match.group(2)), int(match.group(3) or 0)), (rows, 2000 * rows),
                f"rows and bytes in round {number}")


def sqlite_case(mode):
    @case(f"kill -9 while sqlite commits, journal_mode={mode}: no row that was committed is lost",
          limit_s=300)
    def _(folder):
        rounds = Rounds(folder, SQLITE, mode=mode)
        last = 0
        for number in range(1, rounds.count() // 2 + 2):
            text = rounds.kill(number, r"flushed 1\.")
            check_rows(text, number, last)
            last = last_flushed(text)
        tap.comment(f"{rounds.flushed} commits")


sqlite_case("delete")
sqlite_case("wal")


def check_package(text, number, before):
    """What round `number` found of the one before."""
    match = re.search(r"before (?:(\d+) ([\w-]+))?\.\nfiles (.*?) ?\.\n", text)
    check(match, f"round {number}: {text[-400:]!r}")
    if number == 1:
        return
    # Killed while `begun` was on its way, after `done`.
    done = int((re.findall(r"flushed (\d+)\.", before) or [1])[-1])
    begun = int((re.findall(r"installing (\d+)\.", before) or [1])[-1])
    version, status = int(match.group(1)), match.group(2)
    check(version in (done, begun), f"round {number}: version {version}, not {done} or {begun}")
    counts = {int(name): int(lines)
              for lines, name in re.findall(r"(\d+) version-(\d+)", match.group(3))}
    check(set(counts) <= {done, begun} and sum(counts.values()) == FILES * LINES and
          all(lines % LINES == 0 for lines in counts.values()),
          f"round {number}: files {counts}, after {done}, before {begun}")
    if status == "installed":
        check_equal(counts, {version: FILES * LINES}, f"files in round {number}")


@case("kill -9 while dpkg installs: each package is as dpkg says, and installs again", limit_s=300)
def _(folder):
    rounds = Rounds(folder, DPKG, make_packages(folder))
    before = ""
    for number in range(1, rounds.count() + 1):
        text = rounds.kill(number, r"installing \d+\.")
        check_package(text, number, before)
        before = text
    tap.comment(f"{rounds.flushed} packages were installed")


# ---- images that are changed by others ----

# Writes a block and reads it back, past the guest's cache, each time that it is told to.
STEPS = """
n=0
while read go; do
    n=$((n + 1))
    dd if=/dev/zero bs=4k count=1 2>/dev/null | tr '\\0' $n >/tmp/block
    dd if=/tmp/block of=/dev/vda bs=4k seek=$n oflag=direct conv=notrunc,fsync 2>/dev/null &&
        dd if=/dev/vda bs=4k skip=$n count=1 iflag=direct 2>/dev/null | cmp - /tmp/block &&
        echo "kept $n, $(cat /sys/block/vda/size) sectors"
done
"""


def replace(path):
    other = path.with_suffix(".other")
    other.write_bytes(b"other" * 1000)
    other.rename(path)


@case("an image that is grown, protected, replaced or unlinked meanwhile is the guest's still",
      limit_s=120)
def _(folder):
    size = 4 << 20
    disk = folder / "disk"
    disk.write_bytes(bytes(size))
    (folder / "same").hardlink_to(disk)
    machine = Doppel("--kernel", guests.kernel(), "--initrd", guests.initramfs("virtio_blk", STEPS),
                     "--append", "loglevel=1", "--disk", disk, terminal=False,
                     stdin=subprocess.PIPE)
    machine.expect("guest is ready", BOOT_S)
    changes = [lambda: None, lambda: os.truncate(disk, 2 * size), lambda: disk.chmod(0o400),
               lambda: replace(disk), disk.unlink]
    for number, change in enumerate(changes, 1):
        change()
        machine.send("go\n")
        machine.expect(rf"kept {number}, {size // 512} sectors")
    machine.terminate()
    kept = (folder / "same").read_bytes()
    for number in range(1, len(changes) + 1):
        check_equal(kept[4096 * number:4096 * (number + 1)], b"%d" % number * 4096,
                    f"block {number}")


if __name__ == "__main__":
    guests.fetch_all()
    guests.run_tool("fetch_guests.py", "--root", "busybox-static", "dpkg", "sqlite3")
    tap.main(__doc__.splitlines()[0])
