#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the pages of the manual: every command and its options are there, and man has no complaint.

    check.py DOPPEL PAGE...
"""
import pathlib
import re
import shutil
import subprocess
import sys

# What has a page of its own, and what needs no section.
OWN_PAGES = {"boot", "run"}


def run(*words):
    return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def plain(page):
    return page.read_text().replace("\\-", "-")


def check_commands(doppel, page):
    text = plain(page)
    problems = []
    for command in re.findall(r"^  (\w+) ", run(doppel, "help").stdout, re.M):
        section = re.search(rf'^\.SS "?{command}\b.*?(?=^\.S[HS]|\Z)', text, re.M | re.S)
        if not section:
            problems.append(f"{page.name}: there is no section of '{command}'")
        elif command not in OWN_PAGES and command != "launch":
            for option in re.findall(r"^  (?:-., )?--([\w-]+)",
                                     run(doppel, command, "--help").stdout, re.M):
                if f"--{option}" not in section.group():
                    problems.append(f"{page.name}: '{command}' has --{option}")
    return problems


def check_roff(page):
    if shutil.which("mandoc"):
        result = run("mandoc", "-T", "lint", "-W", "warning", page)
    elif shutil.which("groff"):
        result = run("groff", "-man", "-Tutf8", "-ww", "-z", page)
    else:
        return []
    return [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]


def main():
    doppel, *pages = map(pathlib.Path, sys.argv[1:])
    pages = [page for page in pages if re.fullmatch(r"\.\d", page.suffix)]
    problems = []
    for page in pages:
        problems += check_roff(page)
        if page.name == "doppel.1":
            problems += check_commands(doppel, page)
    print("\n".join(problems) or f"{len(pages)} pages are in order")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
