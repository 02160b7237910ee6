# SPDX-License-Identifier: Apache-2.0
"""Results as ratios. Everything measured is better when it is less, so that a ratio
peer / doppel above 1 says that doppel is ahead. Rows of machines and of the process VM
have rivals and tables of their own."""
import json
import math
import re
import statistics


PROCESS = "process-"


class Results:
    """What run.py wrote: samples[row][peer] is a list, groups[row] a name."""

    def __init__(self, path):
        data = json.loads(path.read_text())
        self.data = data
        self.samples = data["samples"]
        self.groups = data["groups"]
        self.peers = data["peers"]

    def value(self, row, peer):
        """The median, or None where the row was not measured."""
        values = self.samples.get(row, {}).get(peer)
        return statistics.median(values) if values else None

    def ratio(self, row, peer, base="doppel"):
        ours, theirs = self.value(row, base), self.value(row, peer)
        return theirs / ours if ours and theirs else None

    def is_process(self, row):
        return self.groups[row].startswith(PROCESS)

    def rivals(self, kind="system"):
        """Who is to be beaten: machines, or with "program" what runs programs, but not
        what is called doppel-something, which is doppel in another way."""
        return [name for name, peer in self.peers.items()
                if peer["kind"] == kind and not re.match("doppel(-|$)", name)]

    def rivals_in(self, row):
        return self.rivals("program" if self.is_process(row) else "system")

    def unable(self, peer):
        """The process rows that doppel has and this rival, or another doppel, does not."""
        return [row for row, values in self.samples.items()
                if self.is_process(row) and self.peers[peer]["kind"] == "program"
                and "doppel" in values and peer not in values]

    def best(self, row, rivals=None):
        """The ratio to the fastest of the rivals in this row; all, unless told otherwise."""
        rivals = self.rivals_in(row) if rivals is None else rivals
        ratios = [self.ratio(row, peer) for peer in rivals]
        return min((ratio for ratio in ratios if ratio), default=None)

    def group(self, name):
        return [row for row in self.samples if self.groups[row] == name]

    def group_names(self):
        return list(dict.fromkeys(self.groups[row] for row in self.samples))

    def scaling(self, peer, prefix=""):
        """How many times one hart's work two harts do, or with PROCESS two threads."""
        one, two = (self.value(prefix + row, peer) for row in ("par-one", "par-two"))
        return 2 * one / two if one and two else None


def mean(ratios):
    """The geometric mean of those that there are."""
    known = [ratio for ratio in ratios if ratio]
    return math.exp(statistics.fmean(map(math.log, known))) if known else None


def text(value, form="{:.2f}"):
    return form.format(value) if value else "-"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def parts(results):
    """The names of the groups of machines, and of the process VM, where there are any."""
    names = results.group_names()
    both = ([name for name in names if name.startswith(PROCESS) == wanted]
            for wanted in (False, True))
    return [part for part in both if part]


def peers_of(results, groups):
    """The columns: who has a figure in these groups, or tried to have one."""
    rows = [row for row in results.samples if results.groups[row] in groups]
    return [name for name in results.peers if name != "doppel"
            and any(name in results.samples[row] or row in results.unable(name) for row in rows)]


def cell(results, row, peer):
    return "cannot" if row in results.unable(peer) else text(results.ratio(row, peer))


def means(results, rows, peers):
    """Rows that no rival can run do not count for the best of them."""
    return [*(text(mean(results.ratio(row, peer) for row in rows)) for peer in peers),
            text(mean(results.best(row) for row in rows))]


def table(results):
    """Markdown: doppel's figures, the ratio of every peer, and of the best rival."""
    return "\n\n".join(table_of(results, groups) for groups in parts(results))


def table_of(results, groups):
    peers = peers_of(results, groups)
    lines = [line(["row", "doppel", *peers, "best rival"]), line(["---"] * (len(peers) + 3))]
    for group in groups:
        rows = results.group(group)
        for row in rows:
            unit = " MiB" if group == "idle" else " s"
            lines.append(line([row, text(results.value(row, "doppel"), "{:.3f}" + unit),
                               *(cell(results, row, peer) for peer in peers),
                               text(results.best(row))]))
        if len(rows) > 1:
            lines.append(line([f"**{group}**", "mean", *means(results, rows, peers)]))
    is_process = groups[0].startswith(PROCESS)
    prefix = PROCESS if is_process else ""
    scalings = [f"{name} {text(results.scaling(name, prefix))}" for name in results.peers
                if results.scaling(name, prefix)]
    if scalings:
        lines += ["", f"Two {'threads' if is_process else 'harts'}' work in one "
                  f"{'thread' if is_process else 'hart'}'s time: {', '.join(scalings)}."]
    return "\n".join(lines)


def short_table(results):
    """Only the means of the groups."""
    return "\n\n".join(short_table_of(results, groups) for groups in parts(results))


def short_table_of(results, groups):
    peers = peers_of(results, groups)
    lines = [line(["group", *peers, "best rival"]), line(["---"] * (len(peers) + 2))]
    for group in groups:
        lines.append(line([group, *means(results, results.group(group), peers)]))
    return "\n".join(lines)
