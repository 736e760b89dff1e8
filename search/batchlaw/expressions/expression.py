"""The value of an expression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError
from batchlaw.expressions.parser import Node, Parser

_ARITHMETIC = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.remainder, "**": np.power
}  # fmt: skip
_ORDER = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_EQUALITY = {"==": np.equal, "!=": np.not_equal}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt, "log": np.log, "log2": np.log2, "log10": np.log10, "abs": np.abs,
    "floor": np.floor, "ceil": np.ceil, "round": np.round,
}  # fmt: skip
_ROUNDING = ("floor", "ceil", "round")  # to whole numbers; round takes a half to the even neighbour, as in Python
_REDUCTIONS = {"min": np.minimum, "max": np.maximum}


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    text: str
    argument: str | None  # that it was given as, for messages
    _root: Node

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
        return cls(text, argument, Parser(text, argument).whole())

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

    @property
    def name(self) -> str | None:
        """The name that it consists of; None of any other expression."""
        return str(self._root.value) if self._root.kind == "name" else None

    def check_finite(self) -> None:
        """Refuse a part without names that is infinite or no number, such as 9 ** 9 ** 9 or 1 / 0.

        Raises:
            BatchlawError: there is one; names its character.
        """
        self._constant(self._root)

    def _constant(self, node: Node) -> bool:
        """Whether a part uses no name."""
        constant = [self._constant(operand) for operand in node.operands]  # of each, so that every one is checked
        if node.kind in ("name", "quoted") or not all(constant):
            return False
        with np.errstate(all="ignore"):
            value = self._value(node, {})
        if not _is_text(value) and not np.isfinite(value):
            self._refuse(node.at, f"{node.kind!r} gives {float(value):g}")
        return True

    def is_whole(self, names: Mapping[str, Any]) -> bool:
        """Whether it is arithmetic of whole numbers alone, whose value should be whole as well.

        `batch_size / 4` is, `batch_size / 2.5` and `sqrt(batch_size)` are not, and `round(sqrt(batch_size))` is.

        Args:
            names: the value of each name.
        """
        return _is_whole(self._root, names)

    def rows(self, names: Mapping[str, Any], n: int) -> NDArray[np.bool_]:
        """Which of n rows fulfil it, (n,).

        Raises:
            BatchlawError: as `evaluate`; or it is no condition.
        """
        value = np.asarray(self.evaluate(names))
        if value.dtype != bool:
            self._refuse(self._root.at, "must be a condition, such as depth == 2")
        return np.broadcast_to(value, (n,))

    def _value(self, node: Node, names: Mapping[str, Any]) -> NDArray[Any]:
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

    def _looked_up(self, node: Node, names: Mapping[str, Any]) -> NDArray[Any]:
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


def _is_whole(node: Node, names: Mapping[str, Any]) -> bool:
    if node.kind in _ROUNDING:
        return True
    if node.kind == "name":
        return type(names[str(node.value)]) is int
    if node.kind == "constant":
        return isinstance(node.value, float) and node.value.is_integer()
    if node.kind not in _ARITHMETIC and node.kind not in _REDUCTIONS and node.kind != "abs":
        return False
    return all(_is_whole(operand, names) for operand in node.operands)


def _is_text(value: NDArray[Any]) -> bool:
    return value.dtype.kind in "UO"


def _described(operand: Node, value: NDArray[Any]) -> str:
    """An operand, for messages."""
    kind = "text" if _is_text(value) else "number"
    if operand.kind == "name" or (operand.kind == "quoted" and value.ndim):
        return f"{operand.value!r} of {kind}{'' if kind == 'text' else 's'}"
    return f"the {kind} {operand.value!r}" if operand.value != "" else f"a {kind}"
