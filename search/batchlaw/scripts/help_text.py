"""Flags from what `--help` prints: argparse and all that is built on it, click, typer, tyro and absl."""

import re
from collections.abc import Iterator

from batchlaw.scripts.script import Default, Flag, Kind
from batchlaw.scripts.values import value_of

_BOX = str.maketrans("│┃|╭╮╰╯─━", " " * 9)
_START = re.compile(r"^\s{0,12}(\*\s+)?--?(\[no\])?[A-Za-z]")
_OPTION = re.compile(r"(?<![\w/])--?(?:\[no\])?[A-Za-z][\w.:-]*")
# `(default: 0.1)` of argparse, `[default: 0.1]` of click and typer; absl writes text in quotes.
_DEFAULT = re.compile(r"[\[(](?:env var: \S+; )?default(?: is|:|=)\s*(.*?)[\])](?=\s|$|[.,;])", re.IGNORECASE)
_CHOICES = re.compile(r"\{([^{}]*,[^{}]*)\}|[\[<]([\w.+-]+(?:\|[\w.+-]+)+)[\]>]")
_KINDS: tuple[tuple[str, Kind], ...] = (
    (r"\b(INTEGER|INT)\b|\(an integer\)|<int>", "int"),
    (r"\b(FLOAT|NUMBER)\b|\(a number\)|<float>", "float"),
    (r"\b(TEXT|STR|STRING|PATH|FILENAME)\b|<(string|text|str)>", "str"),
)
_OF_HELP = {"help", "h", "version", "helpfull", "helpshort", "helpxml", "install_completion", "show_completion"}


def flags_of_help(text: str) -> list[Flag]:
    """The flags in the text of a `--help`, in its order."""
    flags: dict[str, Flag] = {}
    for entry in _entries(text):
        flag = _flag(entry)
        if flag is not None and flag.word not in _OF_HELP:
            flags.setdefault(flag.word if not flag.path else flag.name, flag)
    return list(flags.values())


def _entries(text: str) -> Iterator[list[str]]:
    """The lines of each flag."""
    entry: list[str] = []
    in_usage = False
    for raw in text.splitlines():
        line = raw.translate(_BOX) if "│" in raw or "┃" in raw or "╭" in raw or "╰" in raw else raw
        if re.match(r"\s*usage:", line, re.IGNORECASE):
            in_usage = True
            continue
        if in_usage:  # its continuation lines hold flags in brackets
            in_usage = bool(line.strip()) and line[0].isspace()
            if in_usage:
                continue
        if _START.match(line):
            if entry:
                yield entry
            entry = [line]
        elif entry and line.strip() and line[0].isspace():
            entry.append(line)
        elif entry:
            yield entry
            entry = []
    if entry:
        yield entry


def _flag(entry: list[str]) -> Flag | None:
    first = re.sub(r"^\s*\*\s+", "", entry[0]).strip()
    head, _, rest = first.partition("  ")
    head, rest = (head, rest) if not head.endswith(":") else (head[:-1], rest)  # absl: `--lr: the learning rate`
    if re.match(r"--\[?no\]?[\w-]+:|--[\w-]+: ", first):  # absl on one line
        head, _, rest = first.partition(": ")
    text = " ".join([rest, *(line.strip() for line in entry[1:])])
    names = [name.replace("[no]", "") for name in _OPTION.findall(head.split("{")[0] if "{" in head else head)]
    long = [name for name in names if name.startswith("--") and not name.startswith("--no-")] or [
        name for name in names if name.startswith("--")
    ]
    if not names:
        return None
    name = (long or names)[0]
    default, choices = _default(text), _choices(f"{head} {text}")
    kind = next((kind for pattern, kind in _KINDS if re.search(pattern, f"{head} {text}")), None)
    takes_value = bool(re.sub(_OPTION, "", head).strip(" ,/")) or kind is not None or bool(choices)
    if "[no]" in head or not takes_value:
        # A flag of absl has no sign that it takes a value but its kind.
        kind = "switch" if default is None or isinstance(default, bool) else kind
    return Flag(
        name=name, default=default, kind="str" if choices else kind, choices=choices,
        required=bool(re.search(r"[\[(]required[\])]|\(required\)", text)), help=text,
    )  # fmt: skip


def _default(text: str) -> Default:
    found = _DEFAULT.findall(text)
    return value_of(found[-1]) if found else None


def _choices(text: str) -> tuple[str, ...]:
    found = _CHOICES.search(text)
    if found is None:
        return ()
    parts = found.group(1).split(",") if found.group(1) else found.group(2).split("|")
    return tuple(part.strip().strip("'\"") for part in parts if part.strip())
