# SPDX-License-Identifier: Apache-2.0
"""Test cases as functions; each prints one line of TAP.

    @case("a guest that powers off ends doppel with status 0")
    def _(folder): ...

A case gets an empty folder of its own. It fails by an exception, is skipped by
Skip, and is interrupted when its time is over; whatever it registered by
at_end() is undone afterwards.
"""
import argparse
import functools
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

LIMIT_S = 60
ACCEPTS_CONNECTIONS = "00010000"  # __SO_ACCEPTCON in the flags of /proc/net/unix


class Skip(Exception):
    """What the case needs cannot be had here."""


class Overdue(Exception):
    """The case took longer than it may."""


cases = []
undo = []
options = argparse.Namespace(doppel=None, long=False, only="")
slowness = 1  # what limits of time are multiplied by
SANITIZED_SLOWNESS = 8
LONG_FACTOR = 10  # for the time of a case when --long is given


def case(sentence, limit_s=LIMIT_S, long=False):
    """Registers a test case; `long` ones run only when --long is given."""
    def register(function):
        cases.append((sentence, function, limit_s, long))
        return function
    return register


def at_end(function):
    """Calls `function` when the running case is over."""
    undo.append(function)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def brief(value):
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:300]} ... {text[-300:]}"


def check_equal(actual, wanted, what):
    if actual != wanted:
        raise AssertionError(f"{what}: {brief(actual)} instead of {brief(wanted)}")


def check_in(part, whole, what):
    if part not in whole:
        raise AssertionError(f"{what}: {brief(part)} is not in {brief(whole)}")


def wait_until(condition, limit_s, what):
    """Polls; returns what `condition` returned once it is true."""
    end = time.monotonic() + limit_s * slowness
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, f"waited {limit_s} s for {what}")
        time.sleep(0.01)


def wait_for_listener(path, limit_s=10):
    """Until somebody listens at `path`, which is in the file system a moment earlier."""
    def listens():
        sockets = pathlib.Path("/proc/net/unix").read_text(errors="replace").splitlines()
        return any(line.split()[3] == ACCEPTS_CONNECTIONS and line.endswith(f" {path}")
                   for line in sockets[1:])

    wait_until(listens, limit_s, f"a listener at {path}")


def on_alarm(number, frame):
    raise Overdue


def run_undo():
    for function in reversed(undo):
        function()
    undo.clear()


def comment(text):
    for line in text.rstrip().splitlines():
        print(f"# {line}", flush=True)


@functools.lru_cache(None)
def is_sanitized():
    """Built with AddressSanitizer: several times slower, and larger."""
    return b"__asan_init" in options.doppel.read_bytes()


def run_case(function, limit_s):
    """Returns what stands before and behind the name of the case."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="doppel-test-"))
    signal.alarm(limit_s * slowness * (LONG_FACTOR if options.long else 1))
    try:
        function(folder)
        return "ok", ""
    except Skip as reason:
        return "ok", f" # SKIP {reason}"
    except Overdue:
        comment(traceback.format_exc(limit=-4))
        return "not ok", ""
    except Exception:  # pylint: disable=broad-except
        comment(traceback.format_exc(limit=-4))
        return "not ok", ""
    finally:
        signal.alarm(0)
        run_undo()
        shutil.rmtree(folder, ignore_errors=True)


def main(description, add_options=None):
    """Runs the cases; `add_options` is given the parser for options of a program's own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("doppel", type=pathlib.Path, help="the program under test")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    if add_options:
        add_options(parser)
    parser.parse_args(namespace=options)
    options.doppel = options.doppel.resolve()
    global slowness  # pylint: disable=global-statement
    slowness = SANITIZED_SLOWNESS if is_sanitized() else 1
    signal.signal(signal.SIGALRM, on_alarm)
    # A script's background job has these ignored, and so would guests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

    chosen = [(name, function, limit_s) for name, function, limit_s, long in cases
              if (options.long or not long) and re.search(options.only, name)]
    print(f"1..{len(chosen)}", flush=True)
    failures = 0
    for number, (name, function, limit_s) in enumerate(chosen, 1):
        start = time.monotonic()
        verdict, directive = run_case(function, limit_s)
        failures += verdict != "ok"
        comment(f"{time.monotonic() - start:.1f} s")
        print(f"{verdict} {number} - {name}{directive}", flush=True)
    sys.exit(failures != 0)
