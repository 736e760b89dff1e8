"""The command that writes reports of studies."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, errors, output
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from rich.progress import TaskID

PngOption = Annotated[
    Path | None, typer.Option("--png", metavar="DIR", help="Write every figure to this folder as PNG.")
]
SvgOption = Annotated[
    Path | None, typer.Option("--svg", metavar="DIR", help="Write every figure to this folder as SVG.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw report digits-joint -o report.html --svg figures")(report)


def report(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY…", help="Studies in the database; several are compared.")
    ],
    storage: StorageOption = DEFAULT_URL,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: STUDY.html, or report.html for several studies."),
    ] = None,
    png: PngOption = None,
    svg: SvgOption = None,
    json_: JsonOption = False,
) -> None:
    """Write studies into one HTML file, which needs no network: what was run, what was found, and what it cost."""
    from rich.progress import Progress

    from batchlaw.storage import load, open_storage
    from batchlaw.study.reporting import write_report

    if len(set(studies)) < len(studies):
        raise BatchlawError(f"STUDY: got {' '.join(studies)}; must not repeat a study")
    page = file or Path(f"{studies[0]}.html" if len(studies) == 1 else "report.html")
    database = open_storage(storage)
    stored = [load(database, name) for name in studies]
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def step(what: str, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.advance(tasks[what])

        written = write_report(stored, page, png=png, svg=svg, step=step)
    if json_:
        typer.echo(json.dumps({"report": str(page), "figures": list(map(str, written.images))}, indent=2))
        return
    for name, reason in written.unjudged.items():
        errors.print(f"{name}: no verdicts yet: {reason}", soft_wrap=True, markup=False)
    folders = [folder for folder in (png, svg) if folder is not None]
    counts = [f"{len(written.images) // len(folders)} figures in {folder}" for folder in folders]
    output.print(", ".join([f"wrote {page}", *counts]), soft_wrap=True, markup=False)
