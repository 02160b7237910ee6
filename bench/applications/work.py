# SPDX-License-Identifier: Apache-2.0
"""work.py SCALE: the Python rows of bench. Prints lines as programs/main.c does."""
import json
import re
import sys
import time
import zlib


def numbers(count, state=1):
    for _ in range(count):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        yield state >> 33


class Counter:
    """Something with methods to be called."""

    def __init__(self):
        self.total = 0

    def add(self, value):
        self.total += value
        return self


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def calls(scale):
    counter = Counter()
    for value in range(scale * 30000):
        counter.add(value)
    return counter.total + sum(fibonacci(17) for _ in range(scale * 4))


def dicts(scale):
    counts = {}
    for value in numbers(scale * 10000):
        key = value % 5003, value & 1
        counts[key] = counts.get(key, 0) + 1
    return sum(key[0] * count for key, count in counts.items())


def strings(scale):
    words = [f"{value:x}-{value % 100}" for value in numbers(scale * 8000)]
    text = " ".join(words).upper().replace("-1", "+1")
    return zlib.crc32("".join(reversed(text.split("A"))).encode())


def parse_json(scale):
    records = [{"name": f"record {value}", "tags": ["a", "b", str(value)], "size": value / 7,
                "more": {"set": value % 2 == 0, "none": None}} for value in numbers(400)]
    for _ in range(scale * 3):
        text = json.dumps(records, indent=1)
        records = json.loads(text)
    return zlib.crc32(text.encode())


def regex(scale):
    text = "\n".join(f"{value % 256}.{value % 199}.0.{value % 7} - [{value}] \"GET /{value:x}\""
                     for value in numbers(scale * 1600))
    line = re.compile(r"^(\d+)\.(\d+)\.(\d+)\.(\d+) .*?\[(\d+)\] \"(GET|PUT) (/\w+)\"$", re.M)
    found = sum(int(match[5]) for match in line.finditer(text))
    return found + len(re.sub(r"[0-9a-f]{3,}", lambda match: match[0][::-1], text))


def sorting(scale):
    values = list(numbers(scale * 2500))
    by_text = sorted(values, key=str)
    by_rest = sorted(values, key=lambda value: (value % 101, -value))
    return sum(a ^ b * at for at, (a, b) in enumerate(zip(by_text, by_rest)))


def main():
    scale = int(sys.argv[1])
    for name, row in (("calls", calls), ("dicts", dicts), ("strings", strings),
                      ("json", parse_json), ("regex", regex), ("sort", sorting)):
        begin = time.perf_counter()
        total = row(scale)
        seconds = time.perf_counter() - begin
        print(f"bench python-{name} {total & (1 << 64) - 1:016x} {seconds:.6f}", flush=True)


main()
