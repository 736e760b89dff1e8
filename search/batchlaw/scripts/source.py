"""Flags from the text of a script, which is parsed and not run; the help need not tell the defaults."""

import ast
from collections.abc import Iterator
from typing import Any

from batchlaw.scripts.script import Flag, Kind
from batchlaw.scripts.values import kind_of, literal

_KINDS: dict[str, Kind] = {"int": "int", "float": "float", "str": "str", "Path": "str", "bool": "switch"}
_OF_ABSL: dict[str, Kind] = {
    "DEFINE_float": "float", "DEFINE_integer": "int", "DEFINE_string": "str", "DEFINE_enum": "str",
    "DEFINE_bool": "switch", "DEFINE_boolean": "switch",
}  # fmt: skip
_DATACLASS_PARSERS = {"tyro": "-", "HfArgumentParser": "_", "simple_parsing": "_", "draccus": "_", "pyrallis": "_"}


def flags_of_source(source: str) -> list[Flag]:
    """The flags that a script defines itself, by argparse, click, typer, absl or a dataclass; none if no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [flag for call in calls if (flag := _of_call(call)) is not None]
    dash = next((dash for name, dash in _DATACLASS_PARSERS.items() if name in source), None)
    if dash is not None:
        found += _of_dataclasses(tree, dash)
    if "typer" in source:
        found += _of_functions(tree)
    return list({flag.name: flag for flag in found}.values())


def _of_call(call: ast.Call) -> Flag | None:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    words = [str(value) for argument in call.args if isinstance(value := literal(argument), str)]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if called in _OF_ABSL and words:
        default = literal(call.args[1]) if len(call.args) > 1 else None
        return Flag(name=f"--{words[0]}", default=default, kind=_OF_ABSL[called], choices=_texts(call.args[2:3]))
    if called not in ("add_argument", "option", "Option") or not words:
        return None
    names = [word for word in words if word.startswith("-")]
    positional = called == "add_argument" and not names
    name = next((word for word in names if word.startswith("--")), (names or words)[0]).partition("/")[0]
    default = literal(keywords.get("default"))
    if called == "Option" and call.args and default is None:  # of typer: the default comes first
        default = literal(call.args[0]) if not str(literal(call.args[0])).startswith("-") else None
    choices = _texts([keywords[key] for key in ("choices", "type") if key in keywords])
    return Flag(
        name=name, default=default, kind=_kind(keywords, default), choices=choices, positional=positional,
        required=literal(keywords.get("required")) is True
        or (positional and "default" not in keywords and literal(keywords.get("nargs")) not in ("?", "*")),
        help=str(literal(keywords.get("help")) or ""),
    )  # fmt: skip


def _kind(keywords: dict[str, ast.expr], default: Any) -> Kind | None:
    action = literal(keywords.get("action"))
    if action in ("store_true", "store_false", "count") or literal(keywords.get("is_flag")) is True:
        return "switch"
    named = getattr(keywords.get("type"), "id", None) or getattr(keywords.get("type"), "attr", None)
    return _KINDS.get(str(named)) or kind_of(default)


def _texts(nodes: list[ast.expr]) -> tuple[str, ...]:
    """The texts of a literal list, or of `click.Choice([…])`."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args:
            node = node.args[0]
        if isinstance(node, ast.List | ast.Tuple):
            return tuple(value for each in node.elts if isinstance(value := literal(each), str))
    return ()


def _of_dataclasses(tree: ast.Module, dash: str) -> Iterator[Flag]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or "dataclass" not in {_name(each) for each in node.decorator_list}:
            continue
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                value, given = field.value, field.value is not None
                if isinstance(value, ast.Call):  # field(default=…)
                    keywords = {keyword.arg: keyword.value for keyword in value.keywords}
                    value, given = keywords.get("default"), bool({"default", "default_factory"} & keywords.keys())
                default = literal(value)
                kind = _KINDS.get(_name(field.annotation)) or kind_of(default)
                yield Flag(
                    name=f"--{field.target.id.replace('_', dash)}", default=default, kind=kind, required=not given
                )


def _of_functions(tree: ast.Module) -> Iterator[Flag]:
    """The parameters of functions that typer calls: those of commands, and those given to `typer.run`."""
    run = {_name(call.args[0]) for call in ast.walk(tree) if isinstance(call, ast.Call) and call.args
           and _name(call.func) == "run"}  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        if node.name not in run and not {"command", "callback"} & {_name(each) for each in node.decorator_list}:
            continue
        defaults = [None] * (len(node.args.args) - len(node.args.defaults)) + list(node.args.defaults)
        for parameter, value in zip(node.args.args, defaults, strict=True):
            default = literal(value.args[0]) if isinstance(value, ast.Call) and value.args else literal(value)
            kind = _KINDS.get(_name(parameter.annotation)) or kind_of(default)
            yield Flag(
                name=f"--{parameter.arg.replace('_', '-')}" if value is not None else parameter.arg,
                default=default, kind=kind, positional=value is None, required=value is None,
            )  # fmt: skip


def _name(node: ast.expr | None) -> str:
    """`dataclass` of `@dataclass`, `@dataclasses.dataclass` and `@dataclass(frozen=True)`."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):  # Annotated[int, …], Optional[int]
        inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
        return _name(inner)
    if isinstance(node, ast.BinOp):  # int | None
        return _name(node.left)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
