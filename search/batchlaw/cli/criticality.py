"""The command critical: the critical batch size, from steps to a target."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import DEFAULT_URL, HtmlOption, JsonOption, StorageOption, output, write_figures
from batchlaw.cli.tables import StudyOrFileArgument, of_files, reads_runs, show_notes, show_read
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from batchlaw.laws.critical import Critical


def add_commands(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command(epilog="Example: batchlaw critical runs.csv --steps steps_to_target --html critical.html")(critical)


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
    storage: StorageOption = DEFAULT_URL,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """The critical batch size, from the steps or examples that runs took to a target at each batch size."""
    from batchlaw.laws.steps_to_target import critical as critical_of

    for name in ("score", "direction"):
        if (value := columns.pop(name)) is not None:
            raise BatchlawError("goes with claim; --steps or --examples names the column", argument=name, got=value)
    given = of_files(data, storage, **columns, steps=steps, examples=examples, overhead_from=overhead_from)
    found = critical_of(**given, overhead=overhead)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    if html is not None:
        from batchlaw.figures.critical import critical_figure

        figures = {"critical": critical_figure(found)}
        write_figures(html, found.title, "; ".join(found.bases), "critical batch size", figures, found.notes)


def _show(found: "Critical") -> None:
    output.print(marked("[bold]Critical batch size of {}[/]", found.title), soft_wrap=True)
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
    show_read(found.read)
    show_notes(found.notes)


def _overhead_heading(found: "Critical") -> str:
    starts = {f"{each.overhead[1]:g}" for each in found.series}
    share = found.series[0].overhead[0]
    return f"{share:.0%} above perfect scaling" + (f" from {starts.pop()}" if len(starts) == 1 else "")
