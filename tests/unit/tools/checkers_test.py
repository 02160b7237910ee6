#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants faults for the checkers of tools/: a checker that finds nothing proves
nothing until it has found something. Prints TAP."""
import pathlib
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

import check  # noqa: E402
import check_budget  # noqa: E402
import check_layers  # noqa: E402
import check_no_vector  # noqa: E402
import check_words  # noqa: E402

MAP = """
base : -libc =
mem  : -libc = base
port : -libc = base
dev  : -libc = base mem/dma.h port
host         = base
"""


def tree(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def layer_faults(files, layer_map=MAP):
    with tempfile.TemporaryDirectory() as folder:
        return check_layers.check(tree(pathlib.Path(folder),
                                       {"tools/layers.txt": layer_map, **files}))


def one(faults, *words):
    assert len(faults) == 1, faults
    for word in words:
        assert word in faults[0], (word, faults[0])


def layers_accept_a_listed_folder():
    assert not layer_faults({"src/dev/a.c": '#include "mem/dma.h"\n#include <stdint.h>\n'
                                            '#include "dev/a.h"\n#include "port/irq.h"\n'})


def layers_refuse_an_unlisted_folder():
    one(layer_faults({"src/mem/a.c": '\n\n  # include "host/file.h"\n'}), "src/mem/a.c:3", "host")


def layers_refuse_an_unlisted_header_of_a_folder():
    one(layer_faults({"src/dev/a.c": '#include "mem/space.h"\n'}), "mem/space.h")


def layers_refuse_an_include_without_folder():
    one(layer_faults({"src/base/a.h": '#include "b.h"\n'}), "write the folder")


def layers_refuse_libc_in_a_freestanding_folder():
    one(layer_faults({"src/base/a.S": "#include <stdio.h>\n"}), "<stdio.h>")
    assert not layer_faults({"src/host/a.c": "#include <stdio.h>\n"})


def layers_refuse_a_folder_off_the_map():
    one(layer_faults({"src/new/a.c": "int x;\n"}), "'new'")


def layers_refuse_anothers_internal_header():
    one(layer_faults({"src/host/a.c": '#include "base/a_internal.h"\n'}), "belongs to its folder")


def layers_refuse_a_cycle_in_the_map():
    faults = layer_faults({}, "a = b\nb = c\nc = a\n")
    assert len(faults) == 3 and all("itself" in fault for fault in faults), faults


def layers_refuse_freestanding_over_hosted():
    one(layer_faults({}, "host =\ndev : -libc = host\n"), "freestanding 'dev'")


def function(lines, head=""):
    return f"{head}static void f(void)\n{{\n" + "    x();\n" * (lines - 2) + "}\n"


def faults_in_c(text):
    with tempfile.TemporaryDirectory() as folder:
        return check_budget.check(tree(pathlib.Path(folder), {"src/a.c": text}))


def budget_accepts_what_is_within():
    assert not faults_in_c(function(101) * 11)


def budget_refuses_a_long_function():
    one(faults_in_c(function(3) + function(103)), "src/a.c:6", "102 lines")


def budget_accepts_a_long_function_with_a_reason():
    assert not faults_in_c(function(300, "/* long: one case per opcode */\n"))
    one(faults_in_c(function(300, "/* long: */\n")), "299 lines")


def budget_keeps_a_reason_to_its_function():
    one(faults_in_c(function(300, "/* long: cases */\n") + function(300)), "src/a.c:304")


def budget_refuses_a_long_file():
    one(faults_in_c("int x;\n" * 1201), "1201 lines")


def faults_in_text(text, name="docs/a.md"):
    with tempfile.TemporaryDirectory() as folder:
        return check_words.check(tree(pathlib.Path(folder), {name: text}))


def words_refuse_an_archive_host():
    one(faults_in_text("x\nsee deb" + ".debian.org/y\n"), "docs/a.md:2", "archive")


def words_refuse_a_home_folder():
    one(faults_in_text("cd " + "/ro" + "ot/x\n"), "machine")


def words_accept_prose():
    assert not faults_in_text("Debian 12's apt; tests/root/x; a root file system\n")


def words_do_not_look_at_build_folders():
    assert not faults_in_text("deb" + ".debian.org\n", "build-x/a.txt")


def counted(result, stdout=""):
    count = check.count_test({"result": result, "stdout": stdout})
    return count.passed, count.failed, count.skipped


def sums_count_tap_cases():
    assert counted("OK", "1..3\nok 1 - a\nok 2 - b # SKIP no tool\nok 3\n") == (2, 0, 1)
    assert counted("FAIL", "1..2\nok 1 - a\nnot ok 2 - b\n# not ok - tests\n") == (1, 1, 0)


def sums_count_other_programs_as_one():
    assert counted("OK") == (1, 0, 0)
    assert counted("TIMEOUT", "working on it\n") == (0, 1, 0)
    assert counted("SKIP") == (0, 0, 1)


def sums_count_cases_that_never_came():
    assert counted("ERROR", "1..5\nok 1\nok 2\n") == (2, 3, 0)
    assert counted("ERROR", "1..1\nok 1\n") == (1, 1, 0)


def faults_in_object(text):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "a.c"
        source.write_text(text)
        subprocess.run(["cc", "-O1", "-ffreestanding", "-fno-stack-protector", "-c", str(source),
                        "-o", str(source.with_suffix(".o"))], check=True)
        return check_no_vector.check([str(source.with_suffix(".o"))])[0]


def vector_accepts_integers_and_calls_of_its_own():
    assert not faults_in_object("__attribute__((noinline)) long f(long a) { return a * 3; }"
                             "long g(long a) { return f(a) + f(a + 1); }")


def vector_refuses_a_vector_register():
    one(faults_in_object("void f(double *a, float b) { *a = b; }")[:1], "f:", "vector register")


def vector_refuses_a_call_to_elsewhere():
    one(faults_in_object("void far(void); void f(void) { far(); far(); }")[:1], "f:", "far")


def vector_accepts_a_call_to_elsewhere_where_devices_are_reached():
    assert not faults_in_object("void far(void); void space_read(void) { far(); far(); }")


def main():
    cases = [(name, case) for name, case in globals().items()
             if callable(case) and name.split("_")[0] in ("layers", "budget", "words", "sums",
                                                         "vector")]
    failed = 0
    print(f"1..{len(cases)}")
    for number, (name, case) in enumerate(cases, 1):
        try:
            case()
            print(f"ok {number} - {name}")
        except Exception:  # whatever it is, it is this case's
            failed += 1
            print(f"not ok {number} - {name}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
