"""The pages that are made from the code when the documentation is built: options of commands, keys, contributing.

MkDocs calls `on_files` when it has collected the files of `docs/`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
BATCHLAW = [sys.executable, "-m", "batchlaw"]


def output_of(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def options() -> str:
    """Every option of every command, as typer tells it."""
    text = output_of(sys.executable, "-m", "typer", "batchlaw.cli", "utils", "docs", "--name", "batchlaw")
    text = text.replace("# `batchlaw`\n", "# Options of the commands\n", 1)
    return re.sub(r"^Example: (.*)$", r"Example: `\1`", text, flags=re.MULTILINE)


def kind(schema: Mapping[str, Any]) -> str:
    """A JSON Schema of a value in words, such as "number > 0" or "`crossed` or `staggered`"."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            parts = [kind(part) for part in schema[key] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return "table"
    bounds = [
        f"{sign} {schema[key]:g}"
        for sign, key in ((">", "exclusiveMinimum"), ("≥", "minimum"), ("≤", "maximum"), ("<", "exclusiveMaximum"))
        if key in schema and abs(schema[key]) < 1e15
    ]
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return " ".join([names.get(schema.get("type", ""), schema.get("type", "value")), " and ".join(bounds)]).strip()


def table(schema: Mapping[str, Any]) -> Iterator[str]:
    """The keys of one table of a study file, a line each."""
    yield from ("", "| key | meaning | value | without it |", "|---|---|---|---|")
    required = schema.get("required", [])
    for name, value in schema["properties"].items():
        default = value.get("default")
        absent = "required" if name in required else "" if default in (None, [], {}) else f"`{json.dumps(default)}`"
        yield f"| `{name}` | {value.get('description', '')} | {kind(value)} | {absent if len(absent) < 60 else ''} |"


def keys() -> str:
    """Every key of a study file, from its JSON Schema."""
    schema = json.loads(output_of(*BATCHLAW, "schema"))
    lines = [
        "# Keys of the study file",
        "",
        "[The study file](study-file.md) explains them. An editor completes and checks them by the same schema:",
        "",
        "    batchlaw schema > study.schema.json",
        "",
        "and `#:schema study.schema.json` as the first line of the study file (Taplo, Even Better TOML).",
        "",
        "## At the top of the file",
        *table(schema),
    ]
    for name, part in schema["$defs"].items():
        if "properties" in part:
            lines += [
                "",
                f"## {name}",
                "",
                part.get("description", "").split("\n\n")[0].replace("`_KINDS`", "these"),
                *table(part),
            ]
    return "\n".join(lines) + "\n"


def contributing() -> str:
    """CONTRIBUTING.md."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of `docs/`, with those made here."""
    for path, page in (
        ("reference/options.md", options),
        ("reference/keys.md", keys),
        ("contributing.md", contributing),
    ):
        files.append(File.generated(config, path, content=page()))
    return files
