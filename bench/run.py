#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares doppel with other emulators: same guest, interleaved runs, medians.

    run.py [--doppel FILE] [--work FOLDER] [--repetitions N] [--scale N] [--groups A,B]
           [--no-fetch]

Other emulators are named in $DOPPEL_BENCH_PEERS, one NAME=TEMPLATE a line;
bench/README.md has examples. The results are FOLDER/results.json and, as a table,
FOLDER/results.md; an interrupt writes what there is. The status is 1 when doppel
failed, or two emulators computed different checksums.
"""
import argparse
import datetime
import functools
import json
import os
import pathlib
import re
import subprocess
import sys

import peers as peers_module
import process
import report
import server
from guest import Guest
from peers import Failure

MACHINE_GROUPS = ("start", "idle", "integer", "fp", "memory", "system", "parallel", "block", "net")
GROUPS = MACHINE_GROUPS + process.GROUPS
START_RUNS = 5


class Bench:
    def __init__(self, options):
        self.options = options
        self.guest = Guest(options.work, bool(set(options.groups) & set(MACHINE_GROUPS)))
        self.peers = peers_module.find_peers(options.doppel, self.guest,
                                             os.environ.get("DOPPEL_BENCH_PEERS", ""))
        if options.peers:
            self.peers = [peer for peer in self.peers if peer.name in options.peers.split(",")]
        self.workloads = process.Workloads(self.guest, options.doppel, options.work,
                                           options.scale, options.fetch)
        self.server = server.Server()
        self.made = {}  # process group: its workloads
        self.unable = set()  # (workload, peer) that is not tried again
        self.skipped = []
        self.groups = {}  # row: group
        self.samples = {}  # row: {peer: [figure]}
        self.sums = {}  # row: {peer: checksum}
        self.failed = []

    def values(self, group):
        return {"kernel": self.guest.kernel, "initrd": self.guest.initrd, "elf": self.guest.elf,
                "program": self.guest.program, "disk": self.guest.disk, "group": group, "scale": self.options.scale,
                "cpus": 2 if group == "parallel" else 1, "memory": peers_module.MEMORY,
                "append": f"bench={group}:{self.options.scale}" +
                          (f" bench_port={self.server.port}" if group == "net" else "")}

    def add(self, row, group, peer, figure):
        self.groups[row] = group
        self.samples.setdefault(row, {}).setdefault(peer.name, []).append(figure)

    def add_rows(self, group, peer, rows):
        if not rows:
            raise Failure("no row was run")
        for row, seconds, total in rows:
            self.add(row, group, peer, seconds)
            known = self.sums.setdefault(row, {}).setdefault(peer.name, total)
            if known != total:
                self.failed.append(f"{peer.name}: {row} gives {total} after {known}")

    def measure_machine(self, group, peer):
        log = self.options.work / f"{peer.name}-{group}.log"
        common = (peer, self.values(group), log, self.options.limit)
        if group == "start":
            for _ in range(START_RUNS if peer.start else 0):
                self.add("start", group, peer, peers_module.run_start(*common))
        elif group == "idle":
            if peer.kind == "system":
                total, own = peers_module.run_idle(*common)
                self.add("idle-resident", group, peer, total)
                self.add("idle-own", group, peer, own)
        elif group == "block":
            if peer.kind == "system" and peer.disk:
                self.guest.make_disk()
                _, rows = peers_module.run_machine(*common, peer.template + peer.disk)
                self.add_rows(group, peer, rows)
        elif group == "net":
            if peer.kind == "system" and peer.net:
                _, rows = peers_module.run_machine(*common, peer.template + peer.net)
                self.add_rows(group, peer, rows)
        elif peer.kind == "system":
            ready_s, rows = peers_module.run_machine(*common)
            # Boots with two harts are another row.
            self.add("boot" if group != "parallel" else "boot-2", "boot", peer, ready_s)
            self.add_rows(group, peer, rows)
        elif peer.kind == "native":
            rows, _ = peers_module.run_program(peer.words(common[1]), *common[2:])
            self.add_rows(group, peer, rows)

    def measure_workload(self, workload, peer):
        words = workload.words(peer)
        if not words or (workload.name, peer.name) in self.unable:
            return
        log = self.options.work / "process" / f"{peer.name}-{workload.name}.log"
        limit_s = min(self.options.limit, process.LIMIT_S)
        for _ in range(workload.runs):
            try:
                rows, seconds = peers_module.run_program(words, log, limit_s,
                                                         self.workloads.environment())
                if not workload.prints:
                    rows = [(workload.name, seconds, workload.checksum())]
                self.add_rows(workload.group, peer,
                              [(process.row_name(row), *rest) for row, *rest in rows])
            except (Failure, OSError):
                self.unable.add((workload.name, peer.name))
                raise

    def workloads_of(self, group):
        """Those of a process group; of a group that cannot be made, none."""
        if group not in self.made:
            progress(f"preparing {group}")
            self.made[group] = []
            try:
                self.made[group] = self.workloads.make(group)
            except Failure as error:
                ours = str(error).startswith("doppel")
                (self.failed if ours else self.skipped).append(f"{error}: {group} is skipped")
        return self.made[group]

    def parts(self, group):
        """What peers take turns in: (name, how it is measured)."""
        if group in MACHINE_GROUPS:
            return [(group, functools.partial(self.measure_machine, group))]
        return [(workload.name, functools.partial(self.measure_workload, workload))
                for workload in self.workloads_of(group)]

    def run(self):
        for repetition in range(self.options.repetitions):
            for group in self.options.groups:
                for index, (name, measure) in enumerate(self.parts(group)):
                    self.take_turns(repetition, index, name, measure)
        progress("")

    def take_turns(self, repetition, index, name, measure):
        # Whoever comes first would always find the host in the same state.
        turn = (repetition + index) % len(self.peers)
        for peer in self.peers[turn:] + self.peers[:turn]:
            progress(f"{repetition + 1}/{self.options.repetitions} {name} {peer.name}")
            try:
                measure(peer)
            except (Failure, OSError) as error:
                self.failed.append(f"{peer.name}: {name}: {error}")

    def compare_sums(self):
        """The same binary must compute the same everywhere."""
        kinds = {peer.name: peer.kind for peer in self.peers}
        for row, sums in self.sums.items():
            guests = {peer: total for peer, total in sums.items() if kinds[peer] != "native"}
            if len(set(guests.values())) > 1:
                self.failed.append(f"doppel and others differ in {row}: {guests}")

    def write(self):
        order = ["boot", "boot-2", "start", "idle-resident", "idle-own",
                 *(row for _, row in self.guest.rows())]
        data = {
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "host": host(), "scale": self.options.scale,
            "repetitions": self.options.repetitions,
            "peers": {peer.name: {"kind": peer.kind, "template": peer.template,
                                  "version": version(peer)} for peer in self.peers},
            "groups": self.groups, "failed": self.failed, "skipped": self.skipped,
            "samples": {row: self.samples[row] for row in dict.fromkeys([*order, *self.samples])
                        if row in self.samples},
            "sums": self.sums,
        }
        path = self.options.work / "results.json"
        path.write_text(json.dumps(data, indent=1) + "\n")
        results = report.Results(path)
        text = report.table(results)
        (self.options.work / "results.md").write_text(text + "\n")
        print(text)
        print(f"\n{report.short_table(results)}\n\n{path}")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def host():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    return f"{model.group(1) if model else 'unknown'}, {os.cpu_count()} CPUs"


def version(peer):
    if peer.kind == "native":
        return ""
    word = peer.words({name: "" for name in ("kernel", "initrd", "elf", "program", "group",
                                             "scale", "cpus", "memory", "append", "disk")})[0]
    try:
        result = subprocess.run([word, "--version"], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout.splitlines() or [""])[0].strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doppel", type=pathlib.Path, default="build/doppel", metavar="FILE")
    parser.add_argument("--work", type=pathlib.Path, default="build/bench", metavar="FOLDER",
                        help="for guests, logs and results")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--scale", type=int, default=10, metavar="N",
                        help="size of the work, in tenths")
    parser.add_argument("--groups", default=",".join(GROUPS), metavar="A,B",
                        help=f"of {', '.join(GROUPS)}; 'machine' and 'process' are all of a kind")
    parser.add_argument("--no-fetch", dest="fetch", action="store_false",
                        help="skip the rows of programs that are not cached")
    parser.add_argument("--peers", metavar="A,B", help="only these")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS",
                        help="longest time of one run")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.doppel = options.doppel.resolve()
    if not options.doppel.exists():
        parser.error(f"{options.doppel} is not there; build it with make")
    kinds = {"machine": MACHINE_GROUPS, "process": process.GROUPS}
    options.groups = [group for word in options.groups.split(",")
                      for group in kinds.get(word, [word])]
    if set(options.groups) - set(GROUPS):
        parser.error(f"groups are {', '.join(GROUPS)}")
    (options.work / "process").mkdir(parents=True, exist_ok=True)

    try:
        bench = Bench(options)
    except Failure as error:
        parser.error(str(error))
    try:
        bench.run()
    except KeyboardInterrupt:
        bench.failed.append("interrupted: later rows and repetitions are missing")
    bench.compare_sums()
    bench.write()
    for text in bench.skipped + bench.failed:
        print(f"bench: {text}", file=sys.stderr)
    return any(text.startswith("doppel") for text in bench.failed)


if __name__ == "__main__":
    sys.exit(main())
