"""Text with expressions in braces."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from batchlaw.errors import BatchlawError
from batchlaw.expressions.expression import Expression

# What may stand after a colon: Python's format of one value, with widths that keep the text short.
_FORMAT = re.compile(r"(?:[^{}]?[<>=^])?[-+ ]?#?0?\d{0,2},?(?:\.\d{1,2})?([bcdeEfFgGnosxX%]?)")
_OF_WHOLE = set("bcdoxX")  # formats that take whole numbers alone
_OF_DECIMAL = set("eEfFgGn%")
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
_SHOWN = 100  # characters of an expression in a message
_QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class _Field:
    text: str  # between the braces
    expression: Expression
    form: str  # of the value, as after the colon of Python's format
    conversion: str  # "r", "s" or "a", as after Python's exclamation mark


@dataclass(frozen=True)
class Template:
    """A parsed template: text with expressions in braces; a brace of the text is doubled.

    A name alone in its braces is filled in as it is: whole numbers as `16`, others as Python's shortest decimal that
    gives the number back (`1e-05`). An expression of whole numbers alone, such as `batch_size / 4`, must be whole, too,
    and is written as such. Any other number has a decimal point. A format may follow a colon, as in `{lr:.3g}`.
    """

    text: str
    _parts: tuple[str | _Field, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Parse a template.

        Raises:
            BatchlawError: it is none; one line that names the character and what was expected there.
        """
        parts: list[str | _Field] = []
        at, literal = 0, ""
        while at < len(text):
            sign = text[at]
            if sign in "{}" and text[at : at + 2] == sign * 2:
                literal, at = literal + sign, at + 2
            elif sign == "}":
                raise BatchlawError(f"the }} at character {at + 1} is not opened; write }}}} for a brace")
            elif sign == "{":
                end = _closing(text, at)
                parts += [literal, _field(text[at + 1 : end], at + 1)]
                literal, at = "", end + 1
            else:
                literal, at = literal + sign, at + 1
        return cls(text, (*parts, literal))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it uses, in their order."""
        found = [name for part in self._parts if isinstance(part, _Field) for name in part.expression.columns]
        return tuple(dict.fromkeys(found))

    def fill(self, names: Mapping[str, Any], words: Mapping[str, Mapping[str, str]] | None = None) -> str:
        """The text with the values of its expressions.

        Args:
            names: for each name a number, a truth value or a text; None is a name that has no value here.
            words: for a name the texts that replace its values, where it stands alone in its braces.

        Raises:
            BatchlawError: an expression has no value, or none that is finite or that its format can write.
        """
        filled = [part if isinstance(part, str) else _filled(part, names, words or {}) for part in self._parts]
        return "".join(filled)


def _closing(text: str, opening: int) -> int:
    """The place of the brace that ends an expression; a brace in quotes does not."""
    at = opening + 1
    while at < len(text) and text[at] not in "{}":
        quoted = _QUOTED.match(text, at)
        at = quoted.end() if quoted else at + 1
    if at == len(text) or text[at] == "{":
        raise BatchlawError(f"the {{ at character {opening + 1} is not closed; write {{{{ for a brace")
    return at


def _field(text: str, before: int) -> _Field:
    """The expression between two braces; `before` is the number of characters before it."""
    source, form, conversion = text, "", ""
    at = 0
    while at < len(text):
        quoted = _QUOTED.match(text, at)
        if quoted is None and text[at] == ":":
            source, form = text[:at], text[at + 1 :]
            break
        at = quoted.end() if quoted else at + 1
    if found := re.search(r"!([rsa])$", source):
        source, conversion = source[: found.start()], found.group(1)
    if not _FORMAT.fullmatch(form):
        raise BatchlawError(
            f"{form!r} at character {before + at + 2} is no format, such as g or .3f; {{{{ is a brace itself"
        )
    try:
        expression = Expression.parse(source)
        expression.check_finite()
    except BatchlawError as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise BatchlawError(f"{{{shown}}}: {error.message}") from None
    if not expression.columns:
        raise BatchlawError(f"{{{text}}} at character {before} names no placeholder; write {{{{ for a brace")
    return _Field(text, expression, form, conversion)


def _filled(field: _Field, names: Mapping[str, Any], words: Mapping[str, Mapping[str, str]]) -> str:
    expression = field.expression
    for name in expression.columns:
        if name in names and names[name] is None:
            raise BatchlawError(f"{{{field.text}}}: {name!r} has no value in this trial")
    value: Any
    if expression.name is not None and expression.name in names:
        value = names[expression.name]
        value = words.get(expression.name, {}).get(str(value), value)
    else:
        try:
            value = expression.evaluate(names)
        except BatchlawError as error:
            raise BatchlawError(f"{{{field.text}}}: {error.message}") from None
    if field.conversion:
        value = _CONVERSIONS[field.conversion](value)
    if isinstance(value, float):
        value = _number(field, value, names)
    try:
        return format(value, field.form)
    except ValueError:
        raise BatchlawError(f"{{{field.text}}}: the value {value!r} does not go with {field.form!r}") from None


def _number(field: _Field, value: float, names: Mapping[str, Any]) -> int | float:
    """A decimal number as it is written."""
    kind = field.form[-1:]
    if not math.isfinite(value):
        raise BatchlawError(f"{{{field.text}}} is {value:g}")
    expected = kind in _OF_WHOLE or (kind not in _OF_DECIMAL and field.expression.is_whole(names))
    if not expected:
        return value
    if not value.is_integer():
        used = ", ".join(f"{name} = {names[name]}" for name in field.expression.columns)
        hint = f"write {{{field.expression.text}:g}} for a decimal number, or use floor, ceil or round"
        raise BatchlawError(f"{{{field.text}}} is {value:g}, no whole number, with {used}; {hint}")
    return int(value)
