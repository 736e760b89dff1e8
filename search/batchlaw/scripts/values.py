"""Values as scripts and their help spell them."""

import ast
from typing import Any

from batchlaw.scripts.script import Default, Kind

_WORDS: dict[str, Default] = {"true": True, "false": False, "none": None, "null": None, "": None}


def value_of(text: str) -> Default:
    """A number, a truth value, None, or the text without its quotes."""
    plain = text.strip().strip("'\"`").strip()
    if plain.lower() in _WORDS:
        return _WORDS[plain.lower()]
    try:
        value = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return plain
    return value if isinstance(value, bool | int | float | str) else plain


def kind_of(value: Any) -> Kind | None:
    """The kind of a flag with this default; None without one."""
    if isinstance(value, bool):
        return "switch"
    return "int" if isinstance(value, int) else "float" if isinstance(value, float) else "str" if value else None


def literal(node: ast.expr | None) -> Default:
    """The value of an expression of literals, such as `-1e-3`, `5 * 8` or `2 ** 10`; None where it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, bool | int | float | str) else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = literal(node.operand)
        return -value if isinstance(value, int | float) else None
    if isinstance(node, ast.BinOp):
        left, right = literal(node.left), literal(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            if isinstance(node.op, ast.Mult):
                return left * right
            if isinstance(node.op, ast.Div) and right:
                return left / right
            if isinstance(node.op, ast.Pow) and abs(right) <= 64 and abs(left) <= 1024:
                return float(left**right) if isinstance(left, float) or right < 0 else int(left**right)
    return None
