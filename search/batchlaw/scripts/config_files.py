"""Settings in YAML: Hydra's configuration, and what a LightningCLI prints."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from batchlaw.scripts.script import Flag
from batchlaw.scripts.values import kind_of


def flags_of_yaml(text: str, dashes: str) -> list[Flag]:
    """The leaves of a configuration, such as `trainer.max_epochs`; `dashes` stand before each name.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {error}") from None
    return [Flag(name=f"{dashes}{name}", default=value, kind=kind_of(value)) for name, value in _leaves(table, "")]


def hydra_text(path: Path) -> str | None:
    """The configuration files that a Hydra script begins with: `conf/config.yaml` or the like, with its defaults."""
    for folder in (path.parent / "conf", path.parent / "config", path.parent / "configs", path.parent):
        for name in ("config.yaml", "config.yml", "train.yaml", "default.yaml"):
            if (folder / name).is_file():
                return yaml.safe_dump(_composed(folder, folder / name))
    return None


def _composed(folder: Path, file: Path) -> dict[str, Any]:
    """A file with the groups of its defaults list, as far as these name files that are there."""
    table = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    groups: dict[str, Any] = {}
    for entry in table.pop("defaults", ()):
        for group, option in entry.items() if isinstance(entry, dict) else ():
            inner = folder / group.replace("override ", "").strip("/") / f"{option}.yaml"
            if inner.is_file():
                groups[group] = _composed(folder, inner)
    return groups | table


def _leaves(table: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(table, Mapping):
        for name, value in table.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    elif table is None or isinstance(table, bool | int | float | str):
        yield prefix, table
