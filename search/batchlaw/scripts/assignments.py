"""Settings that are no flags but assignments: nanoGPT's globals and minGPT's configuration nodes."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from batchlaw.scripts.script import Flag
from batchlaw.scripts.values import kind_of, literal


def flags_of_globals(source: str) -> list[Flag]:
    """The globals of a script that runs `configurator.py` over them: each is set by `--name=value`.

    Those after that line are not read, since the configurator does not know them.
    """
    found: dict[str, Flag] = {}
    for node in ast.parse(source).body:
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if is_call and "configurator.py" in (ast.get_source_segment(source, node) or ""):
            break
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, default = node.targets[0].id, literal(node.value)
            if default is not None and not name.startswith("_"):
                found[name] = Flag(name=f"--{name}", default=default, kind=kind_of(default))
    return list(found.values())


def flags_of_nodes(path: Path, source: str) -> list[Flag]:
    """The entries of a `CfgNode` that `get_config` builds: each is set by `--trainer.learning_rate=value`.

    A node may come from `SomeClass.get_default_config()`, whose class is looked for in the script and in the modules
    beside it and in the folders above.
    """
    classes = dict(_classes(ast.parse(source)))
    for folder in (path.parent, *path.resolve().parents[:3]):
        for module in sorted(_imported(source)):
            file = folder.joinpath(*module.split(".")).with_suffix(".py")
            if file.is_file():
                classes = dict(_classes(ast.parse(file.read_text(encoding="utf-8")))) | classes
    found: dict[str, Flag] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "get_config":
            for name, flag in _entries(node, classes, ""):
                found[name] = flag
    return list(found.values())


def _entries(function: ast.FunctionDef, classes: Mapping[str, ast.ClassDef], prefix: str) -> Iterator[tuple[str, Flag]]:
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
            continue
        name, value = prefix + _path(node.targets[0]), node.value
        called = value.func if isinstance(value, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == "get_default_config":
            owner = classes.get(getattr(called.value, "id", ""))
            for inner in owner.body if owner else ():
                if isinstance(inner, ast.FunctionDef) and inner.name == "get_default_config":
                    yield from _entries(inner, classes, f"{name}.")
        elif (default := literal(value)) is not None or isinstance(value, ast.Constant):
            yield name, Flag(name=f"--{name}", default=default, kind=kind_of(default))


def _path(target: ast.expr) -> str:
    """`trainer.learning_rate` of `C.trainer.learning_rate`."""
    parts: list[str] = []
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    return ".".join(reversed(parts))


def _classes(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef]]:
    yield from ((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _imported(source: str) -> set[str]:
    return {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module}
