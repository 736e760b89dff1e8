"""The blocks of README.md and docs/, read so that tests can run them.

- `console`: lines that start with `$ ` are commands, the others are what they print. `…` stands for anything.
- a block with a title, such as ``python title="train.py"``: a file of this name.
- `python` without a title: runs as it stands, after the blocks before it on its page.
- a comment `<!-- python … -->` on a page outside of the tutorials: what the blocks take for granted, such as a reader's
  own data, and what is checked of them. It runs with them, in the order of the page.
- other blocks, `text` among them, are not run.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_HIDDEN = re.compile(r"^<!-- python\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str | None
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def python_of(page: Path) -> list[str]:
    """The Python of a page that runs, in its order: blocks without a title, and comments that begin with `python`."""
    text = page.read_text(encoding="utf-8")
    shown = [(found.start(), found[3]) for found in _FENCE.finditer(text) if (found[1], found[2]) == ("python", None)]
    hidden = [(found.start(), found[1]) for found in _HIDDEN.finditer(text)]
    return [code for _, code in sorted(shown + hidden)]


def commands_in(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a `console` block, each with the lines that it prints on the page."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands[-1][0].endswith("\\"):
            commands[-1] = (f"{commands[-1][0]}\n{line}", [])
        elif line.strip():
            commands[-1][1].append(line)
    return commands


def same_line(shown: str, printed: str) -> bool:
    """Whether a line of a page is a printed one: numbers and blanks may differ, and `…` stands for anything."""

    def plain(text: str) -> str:
        text = re.sub(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?", "0", text)
        return re.sub(r"[\s─━]+", " ", text).strip()

    pattern = ".*".join(re.escape(plain(part)) for part in shown.split("…"))
    return re.fullmatch(pattern, plain(printed)) is not None


def invocations(page: Path) -> Iterator[list[str]]:
    """The words of every `batchlaw …` that a page shows, in blocks, indented lines and within sentences."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = re.findall(r"^(?:    |\$ )(.*\bbatchlaw .*)$", text, re.MULTILINE) + re.findall(r"`(batchlaw [^`]+)`", text)
    for line in shown:
        for part in re.split(r"&&|\|(?= )", line):
            words = shlex.split(part.replace("'", "").replace('"', ""), comments=True)
            for i, word in enumerate(words):
                if (word == "batchlaw" or word.endswith("/batchlaw")) and words[i + 1 :] and "install" not in words[:i]:
                    yield words[i + 1 :]
                    break
