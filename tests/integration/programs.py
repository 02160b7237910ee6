# SPDX-License-Identifier: Apache-2.0
"""riscv64 Linux programs made from C text, for tests of `doppel run`."""
import functools
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

import tap

COMPILER = "riscv64-linux-gnu-gcc"
SYSROOT = pathlib.Path("/usr/riscv64-linux-gnu")
RUN_S = 30


@functools.lru_cache(None)
def scratch():
    """A folder that lives as long as the test program."""
    folder = tempfile.TemporaryDirectory(prefix="doppel-programs-")
    scratch.keep = folder  # removed when the interpreter ends
    return pathlib.Path(folder.name)


@functools.lru_cache(None)
def program(text, *options):
    """Compiles a C program; linked statically unless told otherwise by -shared-libgcc."""
    if not shutil.which(COMPILER):
        raise tap.Skip(f"{COMPILER} is not installed")
    name = hashlib.sha256(repr((text, options)).encode()).hexdigest()[:16]
    source = scratch() / f"{name}.c"
    source.write_text(text)
    linking = [] if "-shared-libgcc" in options else ["-static"]
    subprocess.run([COMPILER, "-g", "-O0", "-w", "-pthread", *linking, *options, "-o",
                    scratch() / name, source], check=True, timeout=60)
    return scratch() / name


def run(*words, **more):
    """doppel with these words; everything it said and how it ended."""
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([tap.options.doppel, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False,
                          timeout=RUN_S * tap.slowness, **more)
