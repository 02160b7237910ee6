#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says which rows of a result miss what is wanted of them, or got slower.

    compare.py RESULTS.json [--rivals A,B] --require integer=2.0,fp=5,row=1.1,scaling=1.8
    compare.py RESULTS.json --before OLD.json [--tolerance 0.9]

Requirements are ratios rival / doppel, with the fastest of the rivals in each row:
of a group (geometric mean), of a row by its name, or with `row` of every row that
has a time. `scaling` is how many times one hart's work doppel's two harts do.

The groups, rows and `scaling` of the process VM have `process-` before their names.
`native-integer` is native / doppel of process-integer, and so with all of them. Where
no rival can run a row of the process VM it does not count; where doppel cannot, it is
missed.

Two results are of two times, in which the host was not the same; doppel is
therefore compared through what the host itself did in both, or the rivals did.
The status is 1 when something is missed.
"""
import argparse
import pathlib
import sys

import report
from report import PROCESS, Results, mean, text


def parse_requirements(words):
    found = {}
    for word in words.split(","):
        name, equals, value = word.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            sys.exit(f"compare: '{word}' is not NAME=RATIO")
    return found


def measured(results, name, rivals=None):
    """The ratios that a requirement speaks of: [(what, ratio)]."""
    if name.startswith("native-"):
        found = measured(results, PROCESS + name.removeprefix("native-"), ["native"])
        return [(f"native: {what}", ratio) for what, ratio in found]
    prefix = PROCESS if name.startswith(PROCESS) else ""
    if name == prefix + "scaling":
        return [(name, results.scaling("doppel", prefix))]
    if name == prefix + "row":
        rows = [row for row in results.samples if results.groups[row] != "idle"
                and results.is_process(row) == bool(prefix) and counts(results, row, rivals)]
        return [(row, results.best(row, rivals)) for row in rows] or [(name, None)]
    if name in results.samples:
        return [(name, results.best(name, rivals))]
    rows = [row for row in results.group(name) if counts(results, row, rivals)]
    if not rows:
        return [(name, None)]
    missing = [row for row in rows if results.is_process(row) and not doppel_has(results, row)]
    return [(row, None) for row in missing] + [
        (f"{name} (mean of {len(rows)})", mean(results.best(row, rivals) for row in rows))]


def doppel_has(results, row):
    return results.value(row, "doppel") is not None


def counts(results, row, rivals):
    """Not what none of the rivals can run as a process, but doppel can."""
    return (not results.is_process(row) or not doppel_has(results, row)
            or results.best(row, rivals) is not None)


def check(results, requirements, rivals=None):
    """Prints a line for each that is missed; returns their number."""
    missed = 0
    for name, wanted in requirements.items():
        for what, ratio in measured(results, name, rivals):
            if ratio is None or ratio < wanted:
                print(f"missed: {what}: {text(ratio)}, wanted {wanted:.2f}")
                missed += 1
            elif name not in ("row", PROCESS + "row"):
                print(f"met: {what}: {text(ratio)}, wanted {wanted:.2f}")
    return missed


def reference(before, after, row):
    """How much slower the host was in `after`: natively, else as the rivals say."""
    rivals = set(after.rivals_in(row)) & set(before.rivals_in(row))
    for peers in (["native"], sorted(rivals)):
        ratios = [after.value(row, peer) / before.value(row, peer) for peer in peers
                  if after.value(row, peer) and before.value(row, peer)]
        if ratios:
            return mean(ratios)
    return 1.0


def compare(before, after, tolerance):
    """Speed of doppel now, in units of what it was; returns how many rows got slower."""
    slower = 0
    speeds = {}
    for row in after.samples:
        new, old = after.value(row, "doppel"), before.value(row, "doppel")
        if new and old:
            is_time = after.groups[row] != "idle"
            speed = old / new * (reference(before, after, row) if is_time else 1.0)
            speeds.setdefault(after.groups[row], []).append(speed)
            if speed < tolerance:
                print(f"slower: {row}: {speed:.2f} of what it was")
                slower += 1
    for group, values in speeds.items():
        print(f"{group}: {text(mean(values))} of what it was")
    return slower


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--require", metavar="NAME=RATIO,...")
    parser.add_argument("--rivals", metavar="A,B", help="instead of all of a row's kind")
    parser.add_argument("--before", type=pathlib.Path, metavar="OLD.json")
    parser.add_argument("--tolerance", type=float, default=0.9, metavar="RATIO")
    parser.add_argument("--table", action="store_true", help="print the table as well")
    options = parser.parse_args()

    results = Results(options.results)
    failed = 0
    if options.table:
        print(report.table(results) + "\n\n" + report.short_table(results))
    if options.require:
        rivals = options.rivals.split(",") if options.rivals else None
        failed += check(results, parse_requirements(options.require), rivals)
    if options.before:
        failed += compare(Results(options.before), results, options.tolerance)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
