"""The command critical: the critical batch size, from steps to a target."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    DataDirOption,
    DeviceOption,
    DownloadOption,
    HtmlOption,
    JsonOption,
    StorageOption,
    ThreadsOption,
    bar_of,
    bounded,
    output,
    write_figures,
)
from batchlaw.cli.tables import (
    StudyOrFileArgument,
    check_none_of_a_file,
    is_file,
    of_files,
    reads_runs,
    show_notes,
    show_read,
)
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError
from batchlaw.study import Study
from batchlaw.study.files import write_text

if TYPE_CHECKING:
    from batchlaw.laws.critical import Critical

_HELP = """The critical batch size, beyond which a larger batch saves ever fewer steps.

Of runs made elsewhere: from the steps or examples that a target took at each batch size. Of a STUDY in the
database with H20: from its curves, beside the bend of its law and the noise scale. Of a STUDY.toml with a [task]: by
branches with larger batches from checkpoints of a trunk, trained now, beside what the study in the database shows.
"""
_PANEL = "Branches of a STUDY.toml"


def add_commands(app: typer.Typer) -> None:
    """Register the command of this module."""
    example = "batchlaw critical runs.csv --steps steps_to_target --html critical.html"
    app.command(help=_HELP, epilog=f"Example: {example}")(critical)


@reads_runs
def critical(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    steps: Annotated[str | None, typer.Option("--steps", metavar="COL", help="Steps that a target took.")] = None,
    examples: Annotated[
        str | None, typer.Option("--examples", metavar="COL", help="Or the examples, tokens or epochs.")
    ] = None,
    overhead: Annotated[
        float, typer.Option("--overhead", metavar="SHARE", help="Steps above perfect scaling, of the second figure.")
    ] = 0.2,
    overhead_from: Annotated[
        float | None,
        typer.Option("--overhead-from", metavar="B", help="Where perfect scaling begins; 256, else the smallest."),
    ] = None,
    trunk: Annotated[
        int | None, bounded("--trunk", 1, 1e9, "Batch size of the trunk; the smallest.", rich_help_panel=_PANEL)
    ] = None,
    base_lr: Annotated[
        float | None, bounded("--base-lr", 1e-12, 1e6, "base_lr of the trunk; told by results.", rich_help_panel=_PANEL)
    ] = None,
    checkpoints: Annotated[
        int, bounded("--checkpoints", 1, 20, "Of the trunk, at halves of the budget.", rich_help_panel=_PANEL)
    ] = 4,
    window: Annotated[int | None, bounded("--window", 1, 1e15, "Examples of a branch.", rich_help_panel=_PANEL)] = None,
    tolerance: Annotated[
        float, bounded("--tolerance", 0.01, 0.99, "Share of progress that may be lost.", rich_help_panel=_PANEL)
    ] = 0.2,
    schedule: Annotated[
        Path | None,
        typer.Option("--schedule", metavar="FILE", help="Write a batch-size warmup.", rich_help_panel=_PANEL),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be trained, and how long.", rich_help_panel=_PANEL)
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    storage: StorageOption = DEFAULT_URL,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """See `_HELP`."""
    columns |= {"steps": steps, "examples": examples, "overhead_from": overhead_from}
    if len(data) == 1 and data[0].endswith(".toml"):
        check_none_of_a_file(data[0], **columns)
        options = {
            "batch_size": trunk, "base_lr": base_lr, "checkpoints": checkpoints, "window": window,
            "tolerance": tolerance, "dry_run": dry_run, "device": device, "threads": threads, "data_dir": data_dir,
            "download": download,
        }  # fmt: skip
        _of_branches(Path(data[0]), storage, options, schedule, html, json_=json_)
    elif is_file(data):
        _tell(_of_files(data, storage, overhead, columns), html, json_=json_)
    else:
        check_none_of_a_file(data[0], **columns)
        _tell(Study.open(data[0], storage).critical(), html, json_=json_)


def _of_branches(
    file: Path, storage: str, options: dict[str, Any], schedule: Path | None, html: Path | None, *, json_: bool
) -> None:
    """Train branches, or tell their cost alone, and write the batch-size warmup that follows.

    Args:
        file: the study file.
        storage: where the study may be registered.
        options: of `batchlaw.study.critical.branched`.
        schedule: where the warmup is written.
        html: where the figure is written.
        json_: print JSON.
    """
    from batchlaw.study.critical import branched

    with bar_of("trunk and branches", shown=not options["dry_run"]) as tick:
        branches, found = branched(file, storage, tick=tick, **options)
    if options["dry_run"]:
        if json_:
            typer.echo(json.dumps({"cost": branches.cost, "seconds": branches.seconds}, indent=2))
        else:
            _show_cost(branches.cost)
        return
    if schedule is not None:
        write_text(schedule, json.dumps(branches.schedule, indent=2) + "\n", argument="schedule")
    if not json_:
        _show_cost(branches.cost)
    _tell(found, html, json_=json_, branches={"cost": branches.cost, "schedule": branches.schedule})


def _show_cost(cost: list[str]) -> None:
    for line in cost:
        output.print(line, soft_wrap=True, markup=False)


def _tell(found: "Critical", html: Path | None, *, json_: bool, **more: Any) -> None:
    """Print what was found, and write its figure if there is to be one."""
    if json_:
        typer.echo(json.dumps(found.as_dict() | more, indent=2))
    else:
        _show(found)
    if html is not None:
        from batchlaw.figures.critical import critical_figure

        figures = {"critical": critical_figure(found)}
        write_figures(html, found.title, "; ".join(found.bases), "critical batch size", figures, found.notes)


def _of_files(data: list[str], storage: str, overhead: float, columns: dict[str, Any]) -> "Critical":
    from batchlaw.laws.steps_to_target import critical as critical_of

    for name in ("score", "direction"):
        if (value := columns.pop(name)) is not None:
            raise BatchlawError("goes with claim; --steps or --examples names the column", argument=name, got=value)
    return critical_of(**of_files(data, storage, **columns), overhead=overhead)


def _show(found: "Critical") -> None:
    output.print(marked("[bold]Critical batch size of {}[/]", found.title), soft_wrap=True)
    if found.measured:
        _show_ways(found)
    if found.series:
        _show_series(found)
    show_read(found.read)
    show_notes(found.notes)


def _show_ways(found: "Critical") -> None:
    grid = Table("way", "where", "critical batch size", "", box=None)
    steps = [("steps to a target", each.name, each.critical_batch_size, "") for each in found.series]
    for way, where, size, note in (*steps, *found.measured):
        grid.add_row(*(marked("{}", f"{cell}") for cell in (way, where, size, note)))
    output.print(grid)


def _show_series(found: "Critical") -> None:
    grid = Table("", "E_min/S_min", _overhead_heading(found), "batch sizes", box=None)
    for each in found.series:
        sizes = f"{int(each.reached.sum())} from {each.batch_size.min():g} to {each.batch_size.max():g}"
        cells = (each.name, f"{each.critical_batch_size}", f"{each.overhead_batch_size}", sizes)
        grid.add_row(*(marked("{}", cell) for cell in cells))
    output.print(grid)
    for each in found.series:
        for note in each.remarks:
            output.print(f"{each.name}: {note}" if each.name else note, soft_wrap=True, markup=False)
    for line in found.bases:
        output.print(line, soft_wrap=True, markup=False)


def _overhead_heading(found: "Critical") -> str:
    starts = {f"{each.overhead[1]:g}" for each in found.series}
    share = found.series[0].overhead[0]
    return f"{share:.0%} above perfect scaling" + (f" from {starts.pop()}" if len(starts) == 1 else "")
