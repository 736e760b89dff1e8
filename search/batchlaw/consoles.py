"""Where people read: data is shown as text, whatever it holds.

Names, questions, reasons and the output of programs may hold the markup of rich (`[bold]`) or sequences that steer a
terminal. A console of this module shows both as they are written. Only `marked` makes something bold.
"""

import re
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

# Control characters but for the line break and the tab, and characters that turn the direction of writing.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with what would steer a terminal written out, such as `\\x1b`."""
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def marked(template: str, *values: object) -> Text:
    """Text with markup in the template, and none in the values that take the places of its `{}`."""
    return Text.from_markup(template.format(*(escape(visible(str(value))) for value in values)), emoji=False)


class PlainConsole(Console):
    """A console that takes no string for markup, and lets none steer the terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text; tables render their cells by this too."""
        return super().render_str(visible(text), **options)
