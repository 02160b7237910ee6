# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks run: the program for guest and host, and the guest's image."""
import pathlib
import subprocess
import sys

BENCH = pathlib.Path(__file__).resolve().parent
TOOLS = BENCH.parent / "tools"
CROSS = "riscv64-linux-gnu-gcc"
# The host has vector registers, rv64gc has none: without them both do the same work.
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-fno-tree-vectorize", "-static", "-pthread"]
# One image for everything: the kernel's command line says what is run.
DISK_BYTES = 256 << 20
COMMAND = ("dmesg -n 1; export BENCH_PORT=$(sed -n 's/.*bench_port=\\([0-9]*\\).*/\\1/p' /proc/cmdline); "
           "ip addr add 10.0.2.15/24 dev eth0 2>/dev/null; ip link set eth0 up 2>/dev/null; "
           "bench $(tr ' ' '\\n' </proc/cmdline | sed -n 's/^bench=//p' | tr : ' ')")


def fail(text):
    sys.exit(f"bench: {text}")


def run(words):
    try:
        result = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        fail(f"{words[0]} is missing; run tools/setup")
    if result.returncode:
        fail(f"{words[0]} failed with status {result.returncode}")
    return result.stdout


class Guest:
    """Files in the folder `work`; they are made anew when a source is newer. Only
    machines need kernel and image: `machine`."""

    def __init__(self, work, machine=True):
        self.work = work
        self.kernel = self.initrd = self.elf = None
        self.disk = work / "disk.img"
        work.mkdir(parents=True, exist_ok=True)
        sources = sorted((BENCH / "programs").glob("*.c"))
        inputs = [*sources, BENCH / "programs/bench.h", pathlib.Path(__file__)]
        self.native = work / "bench-native"
        self.program = work / "bench-riscv64"
        self.make(self.native, inputs, ["cc", *FLAGS, *sources, "-lm"])
        self.make(self.program, inputs, [CROSS, *FLAGS, *sources, "-lm"])
        if machine:
            self.make_machine()

    def make_machine(self):
        self.initrd = self.work / "bench.cpio.gz"
        self.elf = self.work / "power-off.elf"
        self.make(self.elf, [BENCH / "programs/power_off.S", pathlib.Path(__file__)],
                  [CROSS, "-nostdlib", "-static", "-Wl,-n,-Ttext=0x80000000,--build-id=none",
                   BENCH / "programs/power_off.S"])
        self.kernel = self.find_kernel()
        if not is_fresh(self.initrd, [self.program, TOOLS / "make_initramfs.py", self.kernel]):
            run([TOOLS / "make_initramfs.py", "--modules", "virtio_blk,virtio_net",
                 "--add", f"{self.program}:/usr/bin/bench",
                 "--exec", COMMAND, self.initrd])

    def make_disk(self):
        """All of it is in the host's page cache: what is measured is the way there."""
        self.disk.write_bytes(bytes(DISK_BYTES))

    def make_hello(self):
        """The same least program for the guest and for the host."""
        source = BENCH / "applications/hello.c"
        outputs = self.work / "hello-riscv64", self.work / "hello-native"
        for compiler, output in zip((CROSS, "cc"), outputs):
            self.make(output, [source, pathlib.Path(__file__)], [compiler, *FLAGS, source])
        return outputs

    @staticmethod
    def make(output, inputs, words):
        if not is_fresh(output, inputs):
            run([*words, "-o", output])

    @staticmethod
    def find_kernel():
        folder = run([TOOLS / "fetch_guests.py", "linux-image-riscv64"]).split(" ", 1)[1].strip()
        return sorted(pathlib.Path(folder).glob("boot/vmlinu[xz]-*"))[-1]

    def rows(self):
        """(group, row) of all rows, in the order in which they are run."""
        return [tuple(line.split()) for line in run([self.native, "list"]).splitlines()]


def is_fresh(output, inputs):
    return output.exists() and all(output.stat().st_mtime > path.stat().st_mtime
                                   for path in inputs)
