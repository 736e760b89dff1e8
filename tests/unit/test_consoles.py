"""Data on a console: text, whatever it holds."""

import io
import re

import pytest
from batchlaw.consoles import PlainConsole, marked, visible
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

HOSTILE = [
    "[bold]x[/]", "[/]", "[/nothing]", "[link=http://x]y[/link]", "[red", "\\[bold]", ":smile:", "{0.__class__}", "{}",
    "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\bb", "\u202edlrow", "\u2028", "\x00", "\x7f",
    "\ud800",
]  # fmt: skip


def shown(*objects):
    console = PlainConsole(file=io.StringIO(), width=400, force_terminal=True, color_system="truecolor")
    for each in objects:
        console.print(each, soft_wrap=True)
    # What rich itself writes to make something bold is no part of the data.
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_and_control_characters_are_shown_as_text(text):
    table = Table(text, title=text)
    table.add_row(text)
    for written in (shown(text), shown(marked("[bold]{}[/]: {}", text, text)), shown(table)):
        assert visible(text) in written
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", written)


@given(st.text())
def test_whatever_the_text_nothing_steers_the_terminal(text):
    written = shown(text, marked("[bold]{}[/]", text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", written)


def test_only_the_template_is_markup():
    text = marked("[bold]{}[/] {}", "[dim]name[/]", "{}")
    assert text.plain == "[dim]name[/] {}"
    assert [(span.start, span.end, span.style) for span in text.spans] == [(0, 12, "bold")]
