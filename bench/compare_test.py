#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges made-up results: a comparison that never misses anything proves nothing.
Prints TAP."""
import contextlib
import io
import json
import pathlib
import tempfile
import traceback

import compare
import report
from peers import LINE


def results(samples, groups):
    """Of doppel, two rivals, doppel's other engine, and the host."""
    peers = {name: {"kind": "system"} for name in ("doppel", "a", "b", "doppel-interp")}
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
