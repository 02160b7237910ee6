# SPDX-License-Identifier: Apache-2.0
"""Rows of the process VM: programs of riscv64 Linux under `doppel run` and its rivals.

A row is named process-... as its group is, so that what machines do is judged apart.
Every workload is a process of its own: rivals that cannot run one still have the others.
"""
import hashlib
import pathlib
import subprocess
import sys

import guest as guest_module
import report
from peers import Failure

PREFIX = report.PROCESS
PROGRAM_GROUPS = ("integer", "fp", "memory", "system", "parallel")
GROUPS = tuple(PREFIX + name for name in ("start", *PROGRAM_GROUPS, "python", "java", "gcc"))
SOURCES = guest_module.BENCH / "applications"
START_RUNS = 10
LIMIT_S = 120  # a rival that hangs costs no more than this
ROOTS = {"python": ["python3"], "java": ["openjdk-21-jdk-headless"],
         "gcc": ["gcc", "libc6-dev"]}

sys.path.insert(0, str(guest_module.TOOLS))
import fetch_guests  # noqa: E402


def row_name(printed):
    return printed if printed.startswith(PREFIX) else PREFIX + printed


class Workload:
    """One command. What it prints are rows (`prints`), or the time of all of it is the
    row `name`; then `output` is a file it writes, that must be the same everywhere."""

    def __init__(self, group, name, guest, host=None, root=None, prints=True, output=None,
                 runs=1):
        self.group = PREFIX + group
        self.name = PREFIX + name
        self.guest = guest  # program and arguments
        self.host = host  # the same for the host, where that has it
        self.root = root  # the tree that the guest's program finds its files in
        self.prints = prints
        self.output = output
        self.runs = runs

    def words(self, peer):
        if peer.kind == "native":
            return self.host and [str(word) for word in self.host]
        return peer.program_words(self.guest, self.root)

    def checksum(self):
        if not self.output:
            return None
        data = self.output.read_bytes()
        self.output.unlink()
        return hashlib.sha256(data).hexdigest()[:16]


def root_of(packages, may_fetch):
    """A tree that holds these packages, if there is one or it may be fetched."""
    roots = fetch_guests.cache_root() / "roots"
    for folder in sorted(roots.glob("*"), key=lambda path: len(path.name)):
        if set(packages) <= set(folder.name.split("+")):
            return folder
    if not may_fetch:
        raise Failure(f"{'+'.join(packages)} is not cached; make bench fetches it")
    words = [guest_module.TOOLS / "fetch_guests.py", "--root", *packages]
    result = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        raise Failure(f"{'+'.join(packages)} cannot be fetched")
    return pathlib.Path(result.stdout.split(" ", 1)[1].strip())


def find(root, pattern):
    """The last of the files: that of the newest version."""
    found = sorted(root.glob(pattern))
    if not found:
        raise Failure(f"{root.name} has no {pattern}")
    return found[-1]


class Workloads:
    """Makes the workloads of a group. What must be made first is made under doppel."""

    def __init__(self, guest, doppel, work, scale, may_fetch):
        self.guest = guest
        self.doppel = doppel
        self.work = work
        self.scale = scale
        self.may_fetch = may_fetch
        self.home = work / "home"
        self.home.mkdir(parents=True, exist_ok=True)

    def environment(self):
        """The same for all. Python's compiled modules are kept out of the tree."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
                "HOME": str(self.home), "TMPDIR": str(self.home), "PYTHONHASHSEED": "0",
                "PYTHONPYCACHEPREFIX": str(self.home / "pycache")}

    def prepare(self, root, *words):
        command = [str(word) for word in (self.doppel, "run", "-L", root, *words)]
        try:
            result = subprocess.run(command, env=self.environment(), stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
                                    stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"doppel: {words[0]} does not end") from None
        if result.returncode:
            raise Failure(f"doppel: {words[0]} ended with status {result.returncode}: "
                          f"{result.stdout[-300:]}")

    def make(self, group):
        name = group[len(PREFIX):]
        if name in PROGRAM_GROUPS:
            return [self.row_of_program(name, row) for of, row in self.guest.rows()
                    if of == name]
        if name == "start":
            hello = self.guest.make_hello()
            return [Workload(name, name, [hello[0]], [hello[1]], prints=False, runs=START_RUNS)]
        return getattr(self, name)(root_of(ROOTS[name], self.may_fetch))

    def row_of_program(self, group, row):
        arguments = [row, str(self.scale)]
        return Workload(group, row, [self.guest.program, *arguments],
                        [self.guest.native, *arguments])

    def python(self, root):
        program = find(root, "usr/bin/python3.*[0-9]")
        self.prepare(root, program, SOURCES / "work.py", 1)
        return [Workload("python", "python-start", [program, "-c", "pass"], root=root,
                         prints=False, runs=2),
                Workload("python", "python", [program, SOURCES / "work.py", self.scale],
                         root=root)]

    def java(self, root):
        """Classes are started, and a source, which the JDK first compiles in memory."""
        program = find(root, "usr/lib/jvm/java-*/bin/java")
        sources = [SOURCES / "Hello.java", SOURCES / "Work.java"]
        classes = self.work / "classes"
        if not guest_module.is_fresh(classes / "Work.class", sources):
            self.prepare(root, program.parent / "javac", "-d", classes, *sources)
        java = [program, "-cp", classes]
        return [Workload("java", "java-start", [*java, "Hello"], root=root, prints=False),
                Workload("java", "java-source", [program, SOURCES / "Hello.java"], root=root,
                         prints=False),
                Workload("java", "java", [*java, "Work", self.scale], root=root)]

    def gcc(self, root):
        program = find(root, "usr/libexec/gcc/*/*/cc1")
        source = self.work / f"generated-{self.scale}.c"
        source.write_text(generated_c(5 + 2 * self.scale))
        output = self.work / "generated.s"
        return [Workload("gcc", f"gcc{level.lower()}",
                         [program, "-quiet", level, source, "-o", output], root=root,
                         prints=False, output=output) for level in ("-O0", "-O2")]


def generated_c(functions):
    """C without headers, of the kind that programs that write programs write."""
    parts = ["struct node { struct node *next; long key; double weight; int kind; };\n"]
    for i in range(functions):
        rest = f"work_{i - 1}(list, sum % 64)" if i else "sum"
        cases = "\n".join(f"        case {k}: sum += node->key * {k * 7 + i % 5 + 1}; break;"
                          for k in range(3 + i % 9))
        parts.append(f"""
static const int table_{i}[] = {{ {", ".join(str((i * k + 3) % 97) for k in range(16))} }};
long work_{i}(struct node *list, long count)
{{
    long sum = count ^ {i};
    for (struct node *node = list; node; node = node->next) {{
        switch (node->kind) {{
{cases}
        default: node->weight = node->weight * {i % 13 + 1}.5 + sum;
        }}
    }}
    for (long j = 0; j < count; j++) {{
        sum += table_{i}[(sum + j) & 15] * j;
        if ((sum & {i % 31 + 1}) == 0)
            sum = sum / (j + {i % 17 + 2}) + (list ? list->key : 0);
    }}
    return sum > {i * 100} ? {rest} : sum;
}}
""")
    return "".join(parts)
