"""Reading a script: how it takes its settings, and which there are."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from batchlaw.errors import DataError
from batchlaw.scripts.assignments import flags_of_globals, flags_of_nodes
from batchlaw.scripts.config_files import flags_of_yaml, hydra_text
from batchlaw.scripts.help_text import flags_of_help
from batchlaw.scripts.running import output_of
from batchlaw.scripts.script import Flag, Script
from batchlaw.scripts.source import flags_of_source


def read_script(path: Path, seconds: float = 60.0) -> Script:
    """Read the flags of a training script.

    A script that runs nanoGPT's `configurator.py`, or merges its arguments into a `CfgNode`, is parsed and not run. One
    of Hydra or LightningCLI is asked for its configuration, and any other for its `--help`. The defaults that the help
    does not tell are taken from the source, and all flags are where the script cannot be run.

    Args:
        path: the script.
        seconds: after which a script that does not answer is ended.

    Raises:
        DataError: it cannot be read, or is no Python.
    """
    try:
        source = path.read_text(encoding="utf-8")
        compile(source, str(path), "exec", dont_inherit=True)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: is no Python: {error}") from None
    if "configurator.py" in source:
        return Script(path=path, source=source, kind="configurator.py", flags=tuple(flags_of_globals(source)))
    if "merge_from_args" in source:
        return Script(path=path, source=source, kind="CfgNode", flags=tuple(flags_of_nodes(path, source)))
    if "hydra.main" in source:
        return _of_hydra(path, source, seconds)
    if "LightningCLI(" in source:
        return _of_lightning(path, source, seconds)
    text, why = output_of(path, ["--help"], seconds)
    asked, defined = flags_of_help(text), flags_of_source(source)
    notes = (f"{why}; its flags were read from its source",) if why else ()
    return Script(path=path, source=source, kind="--help", flags=tuple(_merged(asked, defined)), notes=notes)


def _of_hydra(path: Path, source: str, seconds: float) -> Script:
    text, why = output_of(path, ["--cfg", "job"], seconds)
    notes: tuple[str, ...] = ()
    if why:
        text, notes = hydra_text(path) or "", (f"{why}; its configuration files were read",)
    return Script(path=path, source=source, kind="Hydra", flags=tuple(_yaml(text, "")), notes=notes)


def _of_lightning(path: Path, source: str, seconds: float) -> Script:
    first = () if "run=False" in source else ("fit",)
    text, why = output_of(path, [*first, "--print_config"], seconds)
    flags = tuple(_yaml(text, "--"))
    notes = (why,) if why else () if flags else ("what --print_config prints could not be read",)
    return Script(path=path, source=source, kind="LightningCLI", flags=flags, first=first, notes=notes)


def _yaml(text: str, dashes: str) -> list[Flag]:
    """The settings of a configuration; what is printed before its first key, such as a logo, is left out."""
    first = re.search(r"^[A-Za-z_][\w.]*:(?=\s|$)", text, re.MULTILINE)
    try:
        return flags_of_yaml(text[first.start() :], dashes) if first else []
    except ValueError:
        return []


def _merged(asked: Sequence[Flag], defined: Sequence[Flag]) -> list[Flag]:
    """The flags of the help, with what only the source tells; those of the source where there is no help."""
    if not asked:
        return list(defined)
    by_word = {flag.word: flag for flag in defined}
    merged = []
    for flag in asked:
        own = by_word.get(flag.word)
        if own is not None:
            flag = replace(
                flag,
                default=flag.default if own.default is None else own.default,
                kind=own.kind or flag.kind,
                choices=own.choices or flag.choices,
                required=own.required or flag.required,
            )
        merged.append(flag)
    return merged + [flag for flag in defined if flag.positional]
