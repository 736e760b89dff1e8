"""The command plan: batch size and learning rate for a run that nobody has tried."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import DEFAULT_URL, HtmlOption, JsonOption, StorageOption, bounded, output, write_figures
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

if TYPE_CHECKING:
    from batchlaw.laws.plan import Plan


def add_commands(app: typer.Typer) -> None:
    """Register the command of this module."""
    example = "batchlaw plan runs.csv --tokens D --parameters N --at tokens=1e11 --at parameters=1e9"
    app.command(epilog=f"Example: {example}")(plan)


@reads_runs
def plan(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    at: Annotated[
        list[str], typer.Option("--at", metavar="NAME=X", help="The run asked for: examples, tokens or parameters.")
    ],
    examples: Annotated[str | None, typer.Option("--examples", metavar="COL", help="Examples that a run saw.")] = None,
    tokens: Annotated[str | None, typer.Option("--tokens", metavar="COL", help="Or tokens.")] = None,
    parameters: Annotated[str | None, typer.Option("--parameters", metavar="COL", help="Size of the model.")] = None,
    for_batch_size: Annotated[
        float | None, bounded("--for-batch-size", 1e-9, 1e15, "Tell the rate at this batch size as well.")
    ] = None,
    extrapolate: Annotated[bool, typer.Option("--extrapolate", help="Plan further outside of what was seen.")] = False,
    storage: StorageOption = DEFAULT_URL,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """Batch size and learning rate for a run longer or larger than any tried, with prediction intervals."""
    from batchlaw.laws.planning import plan as plan_of

    asked = _asked(at)
    axes = {"examples": examples, "tokens": tokens, "parameters": parameters}
    studies = [name for name in data if not is_file([name])]
    if studies:
        if len(studies) < len(data):
            raise BatchlawError(f"{studies[0]!r} is no file; give files alone, or studies alone", argument="data")
        given = {name: columns.pop(name) for name in ("alpha", "where")}
        check_none_of_a_file(studies[0], **columns, **axes)
        given = {name: value for name, value in given.items() if value is not None}
        found = plan_of([Study.open(name, storage) for name in studies], at=asked, extrapolate=extrapolate, **given)
    else:
        found = plan_of(**of_files(data, storage, **columns, **axes), at=asked, extrapolate=extrapolate)
    if json_:
        told = found.as_dict()
        if for_batch_size is not None:
            told["lr_at"] = {"batch_size": for_batch_size, **asdict(found.lr_at(for_batch_size))}
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(found, for_batch_size)
    if html is not None:
        from batchlaw.figures.plan import plan_figure

        where = ", ".join(f"{name} {value:.3g}" for name, value in found.at.items())
        write_figures(html, found.title, where, "plan", {"plan": plan_figure(found)}, found.notes)


def _asked(pairs: list[str]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise BatchlawError(f"--at: got {pair!r}; must be NAME=NUMBER, such as examples=1e9") from None
    return found


def _show(found: "Plan", for_batch_size: float | None) -> None:
    rates = {size: found.lr_at(size) for size in found.shown_sizes(for_batch_size)}
    where = ", ".join(f"{name} {value:.3g}" for name, value in found.at.items())
    output.print(marked("[bold]{}[/] for {} ({})", found.title, where, found.grade), soft_wrap=True)
    best, lr = found.batch_size, found.lr
    if best is not None and lr is not None:
        output.print(marked("   batch size [bold]{}[/], learning rate [bold]{}[/]", f"{best}", f"{lr}"), soft_wrap=True)
    grid = Table("batch size", "best rate", "interval", box=None)
    for size, at_size in rates.items():
        style = "bold" if size == for_batch_size else None
        grid.add_row(f"{size:g}", f"{at_size.value:.3g}", f"[{at_size.low:.3g}, {at_size.high:.3g}]", style=style)
    output.print(grid)
    rules = Table("rule", "rate", "expected loss of score", "interval", box=None)
    for row in found.regret.itertuples():
        rules.add_row(row.rule, f"{row.lr:.3g}", f"{row.mean:.2g}", f"[{row.low:.2g}, {row.high:.2g}]")
    output.print(rules)
    moves = Table("of", "on", "exponent", "interval", box=None)
    for row in found.exponents.itertuples():
        moves.add_row(row.of, row.on, f"{row.exponent:.2f}", f"[{row.low:.2f}, {row.high:.2f}]")
    output.print(moves)
    for line in found.lines():
        output.print(line, soft_wrap=True, markup=False)
    show_read(found.read)
    show_notes(found.notes)
