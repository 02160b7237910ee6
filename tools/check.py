#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of build folders and sums them up.

    check.py [--suite NAME]... FOLDER...

Programs that speak TAP count by their test cases, others as one. The last line
is "N passed, N failed"; the exit status is 0 only when tests ran and all passed.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

PLAN = re.compile(r"^1\.\.(\d+)", re.M)
CASE = re.compile(r"^(not )?ok\b[^\n#]*(#\s*(?:skip|todo)\b)?", re.M | re.I)
DIRECTIVE = re.compile(r"^(not )?ok\b.*#\s*(skip|todo)\b", re.I)
GOOD = {"OK", "EXPECTEDFAIL"}
OUTPUT_LINES = 60


class Count:
    """Passed, failed and skipped test cases."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self


def count_test(test):
    """One entry of meson's testlog.json."""
    if test["result"] == "SKIP":
        return Count(skipped=1)
    good = test["result"] in GOOD
    plan = PLAN.search(test.get("stdout", ""))
    if not plan:
        return Count(passed=good, failed=not good)

    count = Count()
    for bad, directive in CASE.findall(test["stdout"]):
        if directive:
            count.skipped += 1
        elif bad:
            count.failed += 1
        else:
            count.passed += 1
    # What was announced and did not come has failed, and so has a program that
    # ends badly after good cases.
    seen = count.passed + count.failed + count.skipped
    count.failed += max(0, int(plan.group(1)) - seen)
    if not good and not count.failed:
        count.failed = 1
    return count


def report_failure(test):
    print(f"\n--- {test['name']}: {test['result']}")
    for stream in ("stdout", "stderr"):
        lines = test.get(stream, "").splitlines()
        if len(lines) > OUTPUT_LINES:
            print(f"[{len(lines) - OUTPUT_LINES} lines of {stream} left out]")
        print("\n".join(lines[-OUTPUT_LINES:]))


def report_skipped(test):
    """Skipped cases and known failures are not counted, but never silent."""
    lines = [line for line in test.get("stdout", "").splitlines() if DIRECTIVE.search(line)]
    for line in lines or ["skipped"]:
        print(f"{test['name']}: {line}")


def run_tests(folder, suites):
    """Builds and runs; returns the entries of the log, None when it did not get so far."""
    log = folder / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", str(folder), "--quiet"]
    for suite in suites:
        command += ["--suite", suite]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if not log.exists():
        print(result.stdout)
        return None
    return [json.loads(line) for line in log.read_text(errors="replace").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    total = Count()
    for folder in options.folders:
        tests = run_tests(folder, options.suite)
        if tests is None:
            print(f"{folder}: the tests could not be built or run")
            total.failed += 1
            continue
        for test in tests:
            count = count_test(test)
            total += count
            if count.failed:
                report_failure(test)
            elif count.skipped:
                report_skipped(test)
    if not total.passed and not total.failed:
        print("no test ran")
    print(f"{total.passed} passed, {total.failed} failed")
    return total.failed != 0 or total.passed == 0


if __name__ == "__main__":
    sys.exit(main())
