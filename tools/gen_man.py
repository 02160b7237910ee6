#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a page of the manual out of a text with references to tables.

    gen_man.py TEXT SOURCE_ROOT VERSION OUTPUT

Lines of TEXT that begin with '@' become:

    @options vmm/options.def     a list of the options of that table
    @commands                    commands of the control protocol
    @events                      its events

@VERSION@ is replaced. So a page cannot lack an option or tell of one that is gone.
"""
import pathlib
import re
import sys

STRING = r'"((?:[^"\\]|\\.)*)"'
OPTION = re.compile(rf"^OPTION\((0|'.'),\s*{STRING},\s*\w+,\s*(?:NULL|{STRING}),\s*{STRING}\)", re.M)
COMMAND = re.compile(rf"^COMMAND\(\w+,\s*{STRING},\s*{STRING},\s*{STRING},\s*{STRING}\)", re.M)
EVENT = re.compile(rf"^EVENT\(\w+,\s*{STRING},\s*{STRING},\s*{STRING}\)", re.M)


def roff(text):
    """As plain text: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def rows(pattern, text, macro):
    found = pattern.findall(text)
    wanted = len(re.findall(rf"^{macro}\(", text, re.M))
    if len(found) != wanted:
        sys.exit(f"gen_man: {wanted - len(found)} rows of {macro} cannot be read")
    return found


def option_list(text):
    lines = []
    for letter, name, argument, words in rows(OPTION, text, "OPTION"):
        short = f"\\fB\\-{roff(letter[1])}\\fR, " if letter != "0" else ""
        joint = "[=" + argument[1:] if argument.startswith("[") else "=" + argument
        value = f"\\fI{roff(joint)}\\fR" if argument else ""
        lines += [".TP", f"{short}\\fB\\-\\-{roff(name)}\\fR{value}", roff(words)]
    return lines


def members(text):
    """"?a:int b:str" for people."""
    parts = []
    for member in text.split():
        name, kind = member.lstrip("?").split(":")
        optional = " (optional)" if member.startswith("?") else ""
        parts.append(f"\\fB{roff(name)}\\fR: {kind}{optional}")
    return parts


def command_list(text):
    lines = []
    for name, arguments, result, words in rows(COMMAND, text, "COMMAND"):
        lines += [".TP", f"\\fB{roff(name)}\\fR", roff(words)]
        if arguments:
            lines += [".br", "Arguments: " + ", ".join(members(arguments))]
        if result != "null":
            lines += [".br", f"Returns: {result}"]
    return lines


def event_list(text):
    lines = []
    for name, data, words in rows(EVENT, text, "EVENT"):
        lines += [".TP", f"\\fB{roff(name)}\\fR", roff(words)]
        if data:
            lines += [".br", "Data: " + ", ".join(members(data))]
    return lines


def page(text, root, version):
    lines = []
    for line in text.replace("@VERSION@", version).splitlines():
        if line.startswith("@options "):
            lines += option_list((root / "src" / line.split()[1]).read_text())
        elif line == "@commands":
            lines += command_list((root / "src/control/commands.def").read_text())
        elif line == "@events":
            lines += event_list((root / "src/control/events.def").read_text())
        elif line.startswith("@"):
            sys.exit(f"gen_man: {line}?")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    source, tree, number, output = sys.argv[1:]
    pathlib.Path(output).write_text(page(pathlib.Path(source).read_text(), pathlib.Path(tree),
                                         number))
