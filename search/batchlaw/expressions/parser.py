"""From the text of an expression to a tree."""

import re
from dataclasses import dataclass
from functools import reduce
from typing import NoReturn

from batchlaw.errors import BatchlawError

_MOST_CHARACTERS, _MOST_TOKENS, _DEEPEST = 1000, 300, 40  # so that no expression is deeper than Python's stack

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
ORDER = ("<", "<=", ">", ">=")
EQUALITY = ("==", "!=")
FUNCTIONS = ("sqrt", "log", "log2", "log10", "abs", "floor", "ceil", "round")  # of one value
REDUCTIONS = ("min", "max")
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
class Node:
    """A value (constant, name, quoted), or an operator or function with its operands."""

    kind: str
    at: int
    operands: "tuple[Node, ...]" = ()
    value: float | bool | str = ""


class Parser:
    """An operator-precedence parser (Pratt 1973)."""

    def __init__(self, text: str, argument: str | None) -> None:
        self._text, self._argument = text, argument
        self._tokens = self._split()
        self._place = self._depth = 0

    def whole(self) -> Node:
        """The tree of the whole text.

        Raises:
            BatchlawError: it is no expression; one line.
        """
        node = self._expression(0)
        if self._next.kind != "end":
            self._expected("an operator or the end")
        return node

    def _split(self) -> list[_Token]:
        if len(self._text) > _MOST_CHARACTERS:
            self._refuse(f"has {len(self._text)} characters; at most {_MOST_CHARACTERS} are read")
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

    def _expression(self, binding: int) -> Node:
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
            left = Node(token.text, token.at, (left, right))
        self._depth -= 1
        return left

    def _prefix(self) -> Node:
        token = self._next
        self._place += 1
        if token.kind == "number":
            return Node("constant", token.at, value=float(token.text))
        if token.kind == "text":
            return Node("constant", token.at, value=token.text)
        if token.kind == "name" and token.text in _CONSTANTS:
            return Node("constant", token.at, value=_CONSTANTS[token.text])
        if token.kind == "name" and self._next.text == "(" and self._next.kind == "sign":
            return self._call(token)
        if token.kind in ("name", "exact", "quoted"):
            return Node("quoted" if token.kind == "quoted" else "name", token.at, value=token.text)
        if token.kind == "sign" and token.text in "+-":
            operand = self._expression(_SIGN)
            return Node(token.text, token.at, (operand,))
        if token.kind == "word" and token.text == "not":
            return Node("not", token.at, (self._expression(_NOT),))
        if token.kind == "sign" and token.text == "(":
            inner = self._expression(0)
            self._take(")")
            return inner
        self._place -= 1
        return self._expected("a number, a name, text or '('")

    def _call(self, name: _Token) -> Node:
        known = (*FUNCTIONS, *REDUCTIONS)
        if name.text not in known:
            self._refuse(f"there is no function {name.text!r} at character {name.at}; there are {', '.join(known)}")
        operands = self._listed("(", ")")
        if name.text in FUNCTIONS and len(operands) != 1:
            self._refuse(f"{name.text!r} at character {name.at} takes one value, not {len(operands)}")
        return Node(name.text, name.at, operands)

    def _compares(self, token: _Token) -> bool:
        if token.kind == "word" and token.text == "not":
            return self._tokens[self._place + 1].text == "in"
        return (token.kind == "word" and token.text == "in") or (
            token.kind == "sign" and (token.text in ORDER or token.text in EQUALITY)
        )

    def _comparisons(self, left: Node) -> Node:
        """`a < b <= c` is `a < b and b <= c`; `a in (b, c)` is `a == b or a == c`."""
        found: Node | None = None
        while self._compares(self._next):
            token = self._next
            self._place += 1
            if token.kind == "word":
                if negated := token.text == "not":
                    self._place += 1
                bracket = self._next.text if self._next.text == "[" else "("
                options = self._listed(bracket, "]" if bracket == "[" else ")")
                equal = [Node("==", token.at, (left, option)) for option in options]
                one = reduce(lambda a, b: Node("or", token.at, (a, b)), equal)
                one = Node("not", token.at, (one,)) if negated else one
            else:
                right = self._expression(_COMPARISON)
                one, left = Node(token.text, token.at, (left, right)), right
            found = one if found is None else Node("and", token.at, (found, one))
        assert found is not None
        return found

    def _listed(self, opening: str, closing: str) -> tuple[Node, ...]:
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
