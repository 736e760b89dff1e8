"""The text of a study file that searches what a script can be told."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from batchlaw.scripts.meaning import Line, meaning_of
from batchlaw.scripts.script import Script
from batchlaw.scripts.suggestions import toml_value
from batchlaw.spec import parse_spec

_TRIALS = 40
_WIDE = 120


@dataclass(frozen=True)
class Draft:
    """A study file before anybody has looked at it."""

    text: str
    questions: tuple[str, ...]  # what could not be decided
    placed: tuple[str, ...]  # the arguments with a placeholder, such as `--lr={lr}`
    notes: tuple[str, ...] = ()  # what went wrong while the script was read


def study_text(script: Script, folder: Path) -> Draft:
    """Write a study file for a script.

    Args:
        script: as it was read.
        folder: where the file will lie.
    """
    meaning = meaning_of(script)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", script.path.stem).strip("-._") or "study"
    where = os.path.relpath(script.path.resolve().parent, folder.resolve())
    words = ["python", script.path.name, *script.first]
    n = len(script.flags)
    lines = [
        f"# Written by batchlaw init: {n} setting{'s' * (n != 1)} of {script.path.name} were read ({script.kind}).",
        *(line for note in script.notes for line in _wrapped(f"Note: {note}.")),
        "# Nothing is final. Each # ? is a question that the script does not answer.",
        *(line for question in meaning.questions for line in _wrapped(f"? {question}")),
        "",
        f"name = {toml_value(name)}",
        "command = [",
        f"    {', '.join(map(toml_value, words))},",
        *_aligned([(f"    {toml_value(text)},", comment) for text, comment in meaning.arguments]),
        "]",
        *([f"folder = {toml_value(where)}"] if where != "." else []),
        *_aligned(meaning.keys),
    ]
    space = [*meaning.space, *((f"# {line}", comment) for line, comment in meaning.asides)]
    if meaning.left:
        lines += _wrapped("left at their defaults: " + ", ".join(meaning.left))
    lines += (
        _table("metrics", meaning.metrics)
        + _table("progress", meaning.progress)
        + _table("budget", meaning.budget)
        + _table("space", space)
    )
    further = [(f"# {line}", comment) for line, comment in meaning.further]
    lines += _table("parameters", [*meaning.parameters, *further], keep=bool(further))
    lines += _table("names.optimizer", [(f"{known} = {toml_value(word)}", "") for known, word in meaning.names.items()])
    metric = [("metric = " + toml_value(meaning.metric), ""), ("direction = " + toml_value(meaning.direction), "")]
    lines += _table("search", [(f"trials = {_TRIALS}", ""), *metric])
    text = "\n".join(lines) + "\n"
    parse_spec(tomllib.loads(text), str(script.path))
    placed = tuple(argument for argument, _ in meaning.arguments if "{" in argument)
    return Draft(text, tuple(meaning.questions), placed, script.notes)


def _table(name: str, lines: list[Line], *, keep: bool = False) -> list[str]:
    return ["", f"[{name}]", *_aligned(lines)] if lines or keep else []


def _aligned(lines: list[Line]) -> list[str]:
    """Lines with their comments below one another, as far as these fit."""
    width = max((len(line) for line, comment in lines if comment and len(line) <= 60), default=0)
    return [f"{line.ljust(width)}  # {comment}" if comment else line for line, comment in lines]


def _wrapped(text: str) -> list[str]:
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(text, _WIDE - 2, break_long_words=False, break_on_hyphens=False)]
