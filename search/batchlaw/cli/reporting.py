"""The command that writes reports of studies, and of runs made elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, errors, output
from batchlaw.cli.tables import StudyOrFileArgument, check_none_of_a_file, is_file, of_files, reads_runs
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from batchlaw.study.reporting import Report

PngOption = Annotated[
    Path | None, typer.Option("--png", metavar="DIR", help="Write every figure to this folder as PNG.")
]
SvgOption = Annotated[
    Path | None, typer.Option("--svg", metavar="DIR", help="Write every figure to this folder as SVG.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    examples = ("digits-joint -o report.html --svg figures", "runs.csv -o runs.html")
    app.command(epilog="\n\n".join(f"Example: batchlaw report {example}" for example in examples))(report)


@reads_runs
def report(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Default: STUDY.html; report.html of several, or of files."
        ),
    ] = None,
    png: PngOption = None,
    svg: SvgOption = None,
    json_: JsonOption = False,
) -> None:
    """Write studies, or runs made elsewhere, into one HTML file, which needs no network."""
    studies = data
    if _are_files(data):
        from batchlaw.study.table_report import write_table_report

        given = of_files(data, storage, **columns)
        page = file or Path("report.html")
        written = write_table_report(given.pop("data"), page, png=png, svg=svg, **given)
        _say(written, page, [folder for folder in (png, svg) if folder is not None], json_=json_)
        return
    check_none_of_a_file(data[0], **columns)
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
    _say(written, page, [folder for folder in (png, svg) if folder is not None], json_=json_)


def _are_files(data: list[str]) -> bool:
    """Whether all are files, or none is.

    Raises:
        BatchlawError: some are studies.
    """
    files = [name for name in data if is_file([name])]
    if files and len(files) < len(data):
        study = next(name for name in data if name not in files)
        raise BatchlawError(f"{study!r} is no file; give files alone, or studies alone", argument="data")
    return bool(files)


def _say(written: "Report", page: Path, folders: list[Path], *, json_: bool) -> None:
    """Print what was written."""
    if json_:
        typer.echo(json.dumps({"report": str(page), "figures": list(map(str, written.images))}, indent=2))
        return
    for name, reason in written.unjudged.items():
        errors.print(f"{name}: no verdicts yet: {reason}", soft_wrap=True, markup=False)
    counts = [f"{len(written.images) // len(folders)} figures in {folder}" for folder in folders]
    output.print(", ".join([f"wrote {page}", *counts]), soft_wrap=True, markup=False)
