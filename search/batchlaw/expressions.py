"""A small language for expressions that users write: arithmetic and conditions over columns or placeholders.

    depth == 2 and 1e-4 < weight_decay <= 1e-2
    base_lr * sqrt(batch_size / 128)
    `val/loss` > 6 or State in ('crashed', 'failed')

It has numbers, `True` and `False`, names, text, `+ - * / % **`, the functions sqrt, log, log2, log10, abs, min and max,
comparisons (which may be chained, as in Python), `and`, `or`, `not`, `in (…)` and `not in (…)`, and parentheses. A name
is made of letters, digits, `_` and dots. Any other name stands in backticks. Text stands in single quotes. What stands
in double quotes is the name of a column if there is one, else it is text.

An expression is parsed here and never evaluated by Python or pandas, so that it can neither run code nor reach an
attribute. Numbers are floats, and a division by 0 is infinite. A comparison with NaN is false, and `!=` is true.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError

MOST_CHARACTERS, _MOST_TOKENS, _DEEPEST = 1000, 300, 40  # so that no expression is deeper than Python's stack

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[^\W\d]\w*(?:\.\w+)*)
    | `(?P<exact>[^`]+)` | '(?P<text>[^']*)' | "(?P<quoted>[^"]*)"
    | (?P<sign>\*\*|<=|>=|==|!=|[-+*/%<>(),\[\]])
    | (?P<end>$))""",
    re.VERBOSE,
)
_WORDS = ("and", "or", "not", "in")
_CONSTANTS = {"True": True, "true": True, "False": False, "false": False}
_HINTS = {"&": "and", "|": "or", "~": "not", "!": "not", "=": "==", "^": "**"}
_ARITHMETIC = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.remainder, "**": np.power
}  # fmt: skip
_ORDER = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_EQUALITY = {"==": np.equal, "!=": np.not_equal}
_FUNCTIONS = {"sqrt": np.sqrt, "log": np.log, "log2": np.log2, "log10": np.log10, "abs": np.abs}
_REDUCTIONS = {"min": np.minimum, "max": np.maximum}
# How strongly an operator binds, as in Python. A sign before a value binds more loosely than `**`.
_BINDING = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "**": 8}
_NOT, _COMPARISON, _SIGN = 3, 4, 7


@dataclass(frozen=True)
class _Token:
    kind: str  # number, name, exact, text, quoted, sign, word or end
    text: str
    at: int  # its character, from 1

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


@dataclass(frozen=True)
class _Node:
    """A value (constant, name, quoted), or an operator or function with its operands."""

    kind: str
    at: int
    operands: "tuple[_Node, ...]" = ()
    value: float | bool | str = ""


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    text: str
    argument: str | None  # that it was given as, for messages
    _root: _Node

    @classmethod
    def parse(cls, text: str, argument: str | None = None) -> "Expression":
        """Parse an expression.

        Args:
            text: the expression.
            argument: the name of the argument that it was given as, for messages.

        Raises:
            BatchlawError: it is no expression; one line that names the character and what was expected there.
        """
        if not isinstance(text, str):
            raise BatchlawError("must be an expression, such as 'depth == 2'", argument=argument, got=text)
        return cls(text, argument, _Parser(text, argument).whole())

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that it uses, in their order; what stands in double quotes is among them."""
        found: dict[str, None] = {}
        open_ = [self._root]
        while open_:
            node = open_.pop()
            if node.kind in ("name", "quoted"):
                found[str(node.value)] = None
            open_ += reversed(node.operands)
        return tuple(found)

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """Its value.

        Args:
            names: for each name a number, a truth value, a text, or a column of them: a Series or an array, (n,).

        Returns:
            A float, bool or str; or an array, (n,), where it uses a column.

        Raises:
            BatchlawError: a name is unknown, or an operator does not go with its operands; one line.
        """
        with np.errstate(all="ignore"):
            value = self._value(self._root, names)
        return value.item() if value.ndim == 0 else value

    def rows(self, names: Mapping[str, Any], n: int) -> NDArray[np.bool_]:
        """Which of n rows fulfil it, (n,).

        Raises:
            BatchlawError: as `evaluate`; or it is no condition.
        """
        value = np.asarray(self.evaluate(names))
        if value.dtype != bool:
            self._refuse(self._root.at, "must be a condition, such as depth == 2")
        return np.broadcast_to(value, (n,))

    def _value(self, node: _Node, names: Mapping[str, Any]) -> NDArray[Any]:
        if node.kind == "constant":
            return np.asarray(node.value)
        if node.kind in ("name", "quoted"):
            return self._looked_up(node, names)
        values = [self._value(operand, names) for operand in node.operands]
        if node.kind in ("and", "or", "not"):
            if any(value.dtype != bool for value in values):
                self._refuse(
                    node.at, f"{node.kind!r} needs {'conditions on both sides' if values[1:] else 'a condition'}"
                )
            if node.kind == "not":
                return np.asarray(~values[0])
            return np.asarray(values[0] & values[1] if node.kind == "and" else values[0] | values[1])
        if node.kind in _EQUALITY:
            if _is_text(values[0]) != _is_text(values[1]):
                sides = [_described(operand, value) for operand, value in zip(node.operands, values, strict=True)]
                self._refuse(node.at, f"{node.kind!r} compares {sides[0]} with {sides[1]}")
            return np.asarray(_EQUALITY[node.kind](*values), dtype=bool)
        for operand, value in zip(node.operands, values, strict=True):
            if _is_text(value):
                self._refuse(operand.at, f"{node.kind!r} needs numbers, and {_described(operand, value)} is none")
        numbers = [value.astype(float) for value in values]
        if node.kind in _ORDER:
            return np.asarray(_ORDER[node.kind](*numbers))
        if node.kind in _ARITHMETIC and len(numbers) == 2:
            return np.asarray(_ARITHMETIC[node.kind](*numbers))
        if node.kind in _ARITHMETIC:
            return np.asarray(-numbers[0] if node.kind == "-" else numbers[0])
        if node.kind in _FUNCTIONS:
            return np.asarray(_FUNCTIONS[node.kind](numbers[0]))
        return np.asarray(reduce(_REDUCTIONS[node.kind], numbers))

    def _looked_up(self, node: _Node, names: Mapping[str, Any]) -> NDArray[Any]:
        name = str(node.value)
        if name not in names:
            if node.kind == "quoted":
                return np.asarray(name)
            close = get_close_matches(name, list(map(str, names)), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(str, names))}"
            self._refuse(node.at, f"there is no {name!r} ({hint})")
        value = np.asarray(names[name])
        if value.dtype.kind in "iuf":
            return value.astype(float)
        return value if value.dtype.kind in "bUO" else value.astype(str)

    def _refuse(self, at: int, message: str) -> NoReturn:
        raise BatchlawError(f"{message}, at character {at}", argument=self.argument, got=self.text)


def _is_text(value: NDArray[Any]) -> bool:
    return value.dtype.kind in "UO"


def _described(operand: _Node, value: NDArray[Any]) -> str:
    """An operand, for messages."""
    kind = "text" if _is_text(value) else "number"
    if operand.kind == "name" or (operand.kind == "quoted" and value.ndim):
        return f"{operand.value!r} of {kind}{'' if kind == 'text' else 's'}"
    return f"the {kind} {operand.value!r}" if operand.value != "" else f"a {kind}"


class _Parser:
    """An operator-precedence parser (Pratt 1973)."""

    def __init__(self, text: str, argument: str | None) -> None:
        self._text, self._argument = text, argument
        self._tokens = self._split()
        self._place = self._depth = 0

    def whole(self) -> _Node:
        node = self._expression(0)
        if self._next.kind != "end":
            self._expected("an operator or the end")
        return node

    def _split(self) -> list[_Token]:
        if len(self._text) > MOST_CHARACTERS:
            self._refuse(f"has {len(self._text)} characters; at most {MOST_CHARACTERS} are read")
        tokens: list[_Token] = []
        at = 0
        while not tokens or tokens[-1].kind != "end":
            found = _TOKEN.match(self._text, at)
            if found is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                wrong = self._text[at]
                if wrong in "'\"`":
                    self._refuse(f"the {wrong} at character {at + 1} is not closed")
                hint = f"; write {_HINTS[wrong]!r}" if wrong in _HINTS else ""
                self._refuse(f"{wrong!r} at character {at + 1} is not understood{hint}")
            kind, at = str(found.lastgroup), found.end()
            text = found.group(kind)
            kind = "word" if kind == "name" and text in _WORDS else kind
            quotes = 2 if kind in ("exact", "text", "quoted") else 0
            tokens.append(_Token(kind, text, at - len(text) - quotes + 1))
        if len(tokens) > _MOST_TOKENS:
            self._refuse(f"has {len(tokens)} words and signs; at most {_MOST_TOKENS} are read")
        return tokens

    def _expression(self, binding: int) -> _Node:
        """The longest expression whose operators all bind more strongly than `binding`."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(f"is nested more than {_DEEPEST} deep at character {self._next.at}")
        left = self._prefix()
        while True:
            token = self._next
            if binding < _COMPARISON and self._compares(token):
                left = self._comparisons(left)
                continue
            strength = _BINDING.get(token.text, 0) if token.kind in ("sign", "word") else 0
            if strength <= binding:
                break
            self._place += 1
            # A power binds from the right, and a sign may follow it: 2 ** -x ** 2.
            right = self._expression(strength - 1 if token.text == "**" else strength)
            left = _Node(token.text, token.at, (left, right))
        self._depth -= 1
        return left

    def _prefix(self) -> _Node:
        token = self._next
        self._place += 1
        if token.kind == "number":
            return _Node("constant", token.at, value=float(token.text))
        if token.kind == "text":
            return _Node("constant", token.at, value=token.text)
        if token.kind == "name" and token.text in _CONSTANTS:
            return _Node("constant", token.at, value=_CONSTANTS[token.text])
        if token.kind == "name" and self._next.text == "(" and self._next.kind == "sign":
            return self._call(token)
        if token.kind in ("name", "exact", "quoted"):
            return _Node("quoted" if token.kind == "quoted" else "name", token.at, value=token.text)
        if token.kind == "sign" and token.text in "+-":
            operand = self._expression(_SIGN)
            return _Node(token.text, token.at, (operand,))
        if token.kind == "word" and token.text == "not":
            return _Node("not", token.at, (self._expression(_NOT),))
        if token.kind == "sign" and token.text == "(":
            inner = self._expression(0)
            self._take(")")
            return inner
        self._place -= 1
        return self._expected("a number, a name, text or '('")

    def _call(self, name: _Token) -> _Node:
        known = (*_FUNCTIONS, *_REDUCTIONS)
        if name.text not in known:
            self._refuse(f"there is no function {name.text!r} at character {name.at}; there are {', '.join(known)}")
        operands = self._listed("(", ")")
        if name.text in _FUNCTIONS and len(operands) != 1:
            self._refuse(f"{name.text!r} at character {name.at} takes one value, not {len(operands)}")
        return _Node(name.text, name.at, operands)

    def _compares(self, token: _Token) -> bool:
        if token.kind == "word" and token.text == "not":
            return self._tokens[self._place + 1].text == "in"
        return (token.kind == "word" and token.text == "in") or (
            token.kind == "sign" and (token.text in _ORDER or token.text in _EQUALITY)
        )

    def _comparisons(self, left: _Node) -> _Node:
        """`a < b <= c` is `a < b and b <= c`; `a in (b, c)` is `a == b or a == c`."""
        found: _Node | None = None
        while self._compares(self._next):
            token = self._next
            self._place += 1
            if token.kind == "word":
                if negated := token.text == "not":
                    self._place += 1
                bracket = self._next.text if self._next.text == "[" else "("
                options = self._listed(bracket, "]" if bracket == "[" else ")")
                equal = [_Node("==", token.at, (left, option)) for option in options]
                one = reduce(lambda a, b: _Node("or", token.at, (a, b)), equal)
                one = _Node("not", token.at, (one,)) if negated else one
            else:
                right = self._expression(_COMPARISON)
                one, left = _Node(token.text, token.at, (left, right)), right
            found = one if found is None else _Node("and", token.at, (found, one))
        assert found is not None
        return found

    def _listed(self, opening: str, closing: str) -> tuple[_Node, ...]:
        """Expressions with commas between, in brackets."""
        self._take(opening)
        found = [self._expression(0)]
        while self._next.text == "," and self._next.kind == "sign":
            self._place += 1
            found.append(self._expression(0))
        self._take(closing)
        return tuple(found)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, sign: str) -> None:
        if self._next.kind != "sign" or self._next.text != sign:
            self._expected(repr(sign))
        self._place += 1

    def _expected(self, what: str) -> NoReturn:
        self._refuse(f"expected {what} at character {self._next.at}, found {self._next}")

    def _refuse(self, message: str) -> NoReturn:
        raise BatchlawError(message, argument=self._argument, got=self._text)
