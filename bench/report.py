# SPDX-License-Identifier: Apache-2.0
"""Results as ratios. Everything measured is better when it is less, so that a ratio
peer / doppel above 1 says that doppel is ahead."""
import json
import math
import re
import statistics


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

    def rivals(self):
        """Who is to be beaten: machines, but not what is called doppel-something, which
        is doppel in another way."""
        return [name for name, peer in self.peers.items()
                if peer["kind"] == "system" and not re.match("doppel(-|$)", name)]

    def best(self, row, rivals):
        """The ratio to the fastest of the rivals in this row."""
        ratios = [self.ratio(row, peer) for peer in rivals]
        return min((ratio for ratio in ratios if ratio), default=None)

    def group(self, name):
        return [row for row in self.samples if self.groups[row] == name]

    def group_names(self):
        return list(dict.fromkeys(self.groups[row] for row in self.samples))

    def scaling(self, peer):
        """How many times one hart's work two harts do."""
        one, two = self.value("par-one", peer), self.value("par-two", peer)
        return 2 * one / two if one and two else None


def mean(ratios):
    """The geometric mean of those that there are."""
    known = [ratio for ratio in ratios if ratio]
    return math.exp(statistics.fmean(map(math.log, known))) if known else None


def text(value, form="{:.2f}"):
    return form.format(value) if value else "-"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def table(results):
    """Markdown: doppel's figures, the ratio of every peer, and of the best rival."""
    peers = [name for name in results.peers if name != "doppel"]
    rivals = results.rivals()
    lines = [line(["row", "doppel", *peers, "best rival"]), line(["---"] * (len(peers) + 3))]
    for group in results.group_names():
        rows = results.group(group)
        for row in rows:
            unit = " MiB" if group == "idle" else " s"
            lines.append(line([row, text(results.value(row, "doppel"), "{:.3f}" + unit),
                               *(text(results.ratio(row, peer)) for peer in peers),
                               text(results.best(row, rivals))]))
        if len(rows) > 1:
            lines.append(line([f"**{group}**", "mean",
                               *(text(mean(results.ratio(row, peer) for row in rows))
                                 for peer in peers),
                               text(mean(results.best(row, rivals) for row in rows))]))
    scalings = [f"{name} {text(results.scaling(name))}" for name in results.peers
                if results.scaling(name)]
    if scalings:
        lines += ["", "Two harts' work in one hart's time: " + ", ".join(scalings) + "."]
    return "\n".join(lines)


def short_table(results):
    """Only the means of the groups."""
    peers = [name for name in results.peers if name != "doppel"]
    lines = [line(["group", *peers, "best rival"]), line(["---"] * (len(peers) + 2))]
    for group in results.group_names():
        rows = results.group(group)
        lines.append(line([group, *(text(mean(results.ratio(row, peer) for row in rows))
                                    for peer in peers),
                           text(mean(results.best(row, results.rivals()) for row in rows))]))
    return "\n".join(lines)
