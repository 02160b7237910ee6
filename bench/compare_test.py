#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges made-up results: a comparison that never misses anything proves nothing.
Prints TAP."""
import contextlib
import io
import json
import os
import pathlib
import tempfile
import traceback
import unittest.mock

import compare
import process
import report
from peers import LINE, Failure, Peer


def results(samples, groups):
    """Of doppel, two machines, two that run programs, doppel's other engine, and the host."""
    peers = {name: {"kind": "system"} for name in ("doppel", "a", "b", "doppel-interp")}
    peers.update({name: {"kind": "program"} for name in ("u", "v", "doppel-run-interp")})
    peers["native"] = {"kind": "native"}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "results.json"
        path.write_text(json.dumps({"samples": samples, "groups": groups, "peers": peers}))
        return report.Results(path)


GROUPS = {"int-x": "integer", "int-y": "integer", "par-one": "parallel", "par-two": "parallel"}
SAMPLES = {
    "int-x": {"doppel": [9, 1, 2], "a": [4], "b": [8], "doppel-interp": [1], "native": [1]},
    "int-y": {"doppel": [1], "a": [9], "b": [8], "native": [1]},
    "par-one": {"doppel": [1], "a": [1]},
    "par-two": {"doppel": [1.25], "a": [1]},
}
# Beside those of machines, in which doppel's time is another.
PROCESS_GROUPS = {**GROUPS, "process-start": "process-start", "process-int-x": "process-integer",
                  "process-int-y": "process-integer", "process-sys-x": "process-system",
                  "process-par-one": "process-parallel", "process-par-two": "process-parallel"}
PROCESS_SAMPLES = {
    **SAMPLES,
    "process-start": {"doppel": [3], "u": [6], "v": [3]},
    "process-int-x": {"doppel": [4], "u": [8], "v": [12], "native": [1], "doppel-run-interp": [1]},
    "process-int-y": {"doppel": [1], "u": [8], "native": [1]},
    "process-sys-x": {"doppel": [1], "native": [9]},
    "process-par-one": {"doppel": [1], "u": [1]},
    "process-par-two": {"doppel": [1], "u": [1]},
}


def missed(words, samples=None):
    """How many of these requirements are missed."""
    found = results(samples or PROCESS_SAMPLES, PROCESS_GROUPS)
    return quietly(compare.check, found, compare.parse_requirements(words))[0]


def quietly(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        return function(*arguments), text.getvalue()


def case_ratios_are_of_medians():
    assert results(SAMPLES, GROUPS).ratio("int-x", "b") == 4


def case_the_best_rival_is_the_fastest_and_never_doppel_itself():
    found = results(SAMPLES, GROUPS)
    assert found.rivals() == ["a", "b"]
    assert found.best("int-x", found.rivals()) == 2
    assert found.best("int-y", found.rivals()) == 8


def case_means_are_geometric_and_skip_what_is_missing():
    assert abs(report.mean([2, None, 8]) - 4) < 1e-9
    assert report.mean([None]) is None


def case_requirements_are_met_or_missed_at_their_limit():
    found = results(SAMPLES, GROUPS)
    rivals = found.rivals()
    for words, missed in (("integer=3.99", 0), ("integer=4.01", 1), ("int-x=2.1,int-y=7", 1),
                          ("row=1.1", 2), ("scaling=1.6", 0), ("scaling=1.7", 1)):
        count, text = quietly(compare.check, found, compare.parse_requirements(words), rivals)
        assert count == missed, (words, text)


def case_a_requirement_of_what_was_not_measured_is_missed():
    count, _ = quietly(compare.check, results(SAMPLES, GROUPS), {"fp": 1.0}, ["a"])
    assert count == 1


def case_a_slower_host_is_no_slower_doppel():
    before = results({"int-x": {"doppel": [2], "native": [1]}}, GROUPS)
    host = results({"int-x": {"doppel": [4], "native": [2]}}, GROUPS)
    ours = results({"int-x": {"doppel": [4], "native": [1]}}, GROUPS)
    assert quietly(compare.compare, before, host, 0.9)[0] == 0
    assert quietly(compare.compare, before, ours, 0.9)[0] == 1


def case_machines_and_processes_have_rivals_of_their_own():
    found = results(PROCESS_SAMPLES, PROCESS_GROUPS)
    assert found.rivals("program") == ["u", "v"]
    assert found.best("process-int-x") == 2 and found.best("int-x") == 2
    assert found.best("process-start") == 1 and found.best("int-y") == 8


def case_processes_are_required_by_names_of_their_own():
    # Means of best rivals: integer sqrt(2 * 8) of machines, sqrt(2 * 8) of processes.
    assert missed("process-integer=3.99,process-start=1,process-int-y=8") == 0
    assert missed("process-integer=4.01,process-start=1.01,process-int-y=8.1") == 3
    faster = {**PROCESS_SAMPLES, "int-x": {"doppel": [1], "a": [9]}}
    assert missed("integer=8.4,process-integer=4.01", faster) == 1
    assert missed("process-scaling=2,scaling=1.6") == 0
    assert missed("process-scaling=2.1,scaling=1.7") == 2


def case_native_is_of_processes():
    assert missed("native-integer=0.49,native-int-y=1") == 0
    assert missed("native-integer=0.51") == 1
    assert missed("native-python=0.1") == 1
    alone = {"process-int-x": {"doppel": [2], "native": [1]}}
    assert missed("native-integer=0.5", alone) == 0
    assert missed("process-integer=0.1,process-row=0.1", alone) == 2


def case_a_row_of_process_means_processes_only():
    assert missed("process-row=1") == 0
    assert missed("process-row=1.1") == 3
    assert missed("row=1.1") == 2


def case_what_no_rival_can_run_does_not_count():
    more = {**PROCESS_SAMPLES, "process-sys-y": {"doppel": [1], "u": [3]}}
    groups = {**PROCESS_GROUPS, "process-sys-y": "process-system"}
    found = results(more, groups)
    assert found.unable("u") == ["process-sys-x"]
    [(what, ratio)] = compare.measured(found, "process-system")
    assert what == "process-system (mean of 1)" and abs(ratio - 3) < 1e-9
    lines = report.table(found).splitlines()
    assert any("process-sys-x" in row and "| cannot |" in row for row in lines)
    assert missed("process-system=1") == 1  # where nothing is left that counts


def case_what_doppel_cannot_run_is_missed():
    samples = {**PROCESS_SAMPLES, "process-int-x": {"u": [1]}}
    assert missed("process-integer=1", samples) == 1
    assert missed("process-row=1", samples) == 1


def case_rows_of_machines_and_processes_are_tables_apart():
    text = report.short_table(results(PROCESS_SAMPLES, PROCESS_GROUPS))
    machines, processes = text.split("\n\n")
    assert "| a | b |" in machines and "| u |" not in machines
    assert "| u | v |" in processes and "| a |" not in processes


def case_a_template_runs_commands_in_a_tree():
    peer = Peer("u", "ld.so emulator -x {program} {group} {scale}")
    assert peer.kind == "program"
    assert peer.program_words(["/p", 1]) == ["ld.so", "emulator", "-x", "/p", "1"]
    assert peer.program_words(["/p"], "/r")[2:] == ["-x", "-L", "/r", "/p"]
    assert Peer("a", "emulator {kernel}").program_words(["/p"]) is None
    try:
        Peer("u", "emulator --run={program}")
    except Failure:
        return
    raise AssertionError("a program inside a word was accepted")


def case_doppel_runs_machines_and_programs():
    peer = Peer("doppel", "doppel boot {kernel}", program="doppel run {program}")
    assert peer.kind == "system" and peer.program_words(["/p"]) == ["doppel", "run", "/p"]


def case_a_tree_with_more_than_is_wanted_is_used():
    with tempfile.TemporaryDirectory() as folder:
        wanted = pathlib.Path(folder) / "doppel/roots/gcc+libc6-dev+make"
        wanted.mkdir(parents=True)
        (wanted.parent / "libc6-dev").mkdir()
        with unittest.mock.patch.dict(os.environ, {"XDG_CACHE_HOME": folder}):
            assert process.root_of(["libc6-dev", "gcc"], False) == wanted
            try:
                process.root_of(["gcc", "perl"], False)
            except Failure:
                return
    raise AssertionError("a package that is not cached was found")


def case_generated_c_is_the_same_every_time():
    text = process.generated_c(3)
    assert text == process.generated_c(3) and "long work_2(" in text
    assert text.count("{") == text.count("}")


def case_lines_of_a_console_are_read():
    assert LINE.findall(b"x\r\nbench int-x 0123456789abcdef 0.25\r\n# bench y\n") == [
        (b"int-x", b"0123456789abcdef", b"0.25")]


def main():
    cases = [(name, case) for name, case in globals().items() if name.startswith("case_")]
    failed = 0
    print(f"1..{len(cases)}")
    for number, (name, case) in enumerate(cases, 1):
        try:
            case()
            print(f"ok {number} - {name[5:]}")
        except Exception:  # whatever it is, it is this case's
            failed += 1
            print(f"not ok {number} - {name[5:]}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
    return failed != 0


if __name__ == "__main__":
    raise SystemExit(main())
