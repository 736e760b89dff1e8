"""The command plan: batch size and learning rate for a run that nobody has tried, or the studies to plan it from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    HtmlOption,
    JsonOption,
    StorageOption,
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
from batchlaw.results.plain import number
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.laws.plan import Plan
    from batchlaw.laws.plan_design import PlanDesign

_PANEL = "Studies to plan from"
_HELP = """Batch size and learning rate for a run longer or larger than any tried, with prediction intervals.

With --design and a STUDY.toml: write the smallest set of study files whose runs are expected to tell them.
"""
_EXAMPLES = (
    "runs.csv --tokens D --parameters N --at tokens=1e11 --at parameters=1e9",
    "--design studies/plan-digits.toml --at examples=327680 --up-to examples=32768 --factor 3 -o plans",
)


def add_commands(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command(help=_HELP, epilog="\n\n".join(f"Example: batchlaw plan {each}" for each in _EXAMPLES))(plan)


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
    design: Annotated[
        bool, typer.Option("--design", help="Write study files to plan from.", rich_help_panel=_PANEL)
    ] = False,
    up_to: Annotated[
        str | None,
        typer.Option("--up-to", metavar="NAME=X", help="The longest run of them.", rich_help_panel=_PANEL),
    ] = None,
    factor: Annotated[
        float | None,
        bounded("--factor", 1.01, 100, "Span of the interval that is wanted of them; 2.", rich_help_panel=_PANEL),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder; that of the STUDY.toml.", rich_help_panel=_PANEL),
    ] = None,
    storage: StorageOption = DEFAULT_URL,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """See `_HELP`."""
    asked = _numbers("at", at)
    of_runs = {"examples": examples, "tokens": tokens, "parameters": parameters, "html": html}
    if design:
        _check_none("a plan, and --design makes studies", **columns, **of_runs, for_batch_size=for_batch_size)
        _design(data, asked, up_to, factor, folder, storage, json_=json_)
        return
    _check_none("--design", up_to=up_to, factor=factor, output=folder)
    from batchlaw.laws.planning import plan as plan_of

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

        where = ", ".join(f"{name} {number(value)}" for name, value in found.at.items())
        write_figures(html, found.title, where, "plan", {"plan": plan_figure(found)}, found.notes)


def _design(
    data: list[str], at: dict[str, float], up_to: str | None, factor: float | None, folder: Path | None, storage: str,
    *, json_: bool,
) -> None:  # fmt: skip
    """Write the study files of a design."""
    from batchlaw.study.designing import plan_design

    if len(data) > 1 or not data[0].endswith(".toml"):
        raise BatchlawError("must be one STUDY.toml with --design", argument="data", got=" ".join(data))
    longest = _numbers("up_to", [up_to]) if up_to else {}
    for name in longest.keys() - (at.keys() - {"parameters"}):
        raise BatchlawError("must have the horizon that --at has, such as examples=1e6", argument="up_to", got=name)
    file = Path(data[0])
    given = {} if factor is None else {"factor": factor}
    with bar_of("weighing sets of studies") as tick:
        found = plan_design(file, at=at, up_to=next(iter(longest.values()), None), storage=storage, tick=tick, **given)
    written = found.write(folder)
    if json_:
        typer.echo(json.dumps(found.as_dict() | {"files": [str(path) for path in written]}, indent=2))
    else:
        _show_design(found, written, at)


def _show_design(found: "PlanDesign", written: list[Path], at: dict[str, float]) -> None:
    output.print(f"wrote {len(written)} study files in {written[0].parent}", soft_wrap=True, markup=False)
    grid = Table("file", "examples", "parameters", "batch sizes", "rates", "runs", box=None)
    for path, row in zip(written, found.table.itertuples(), strict=True):
        parameters = "" if row.parameters is None else f"{row.parameters:,}"
        cells = (f"{row.examples:,}", parameters, f"{row.batch_sizes}", f"{row.rates}", f"{row.runs:,}")
        grid.add_row(path.name, *cells)
    output.print(grid)
    for line in found.lines():
        output.print(line, soft_wrap=True, markup=False)
    names = " ".join(spec.name for spec in found.studies)
    asked = " ".join(f"--at {name}={value:g}" for name, value in at.items())
    output.print(
        f"next: batchlaw run each of them, and then\n  batchlaw plan {names} {asked}", soft_wrap=True, markup=False
    )


def _check_none(belongs: str, **options: Any) -> None:
    for name, value in options.items():
        if value not in (None, []):
            raise BatchlawError(f"goes with {belongs}", argument=name, got=value)


def _numbers(argument: str, pairs: list[str]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise BatchlawError("must be NAME=NUMBER, such as examples=1e9", argument=argument, got=pair) from None
    return found


def _show(found: "Plan", for_batch_size: float | None) -> None:
    rates = {size: found.lr_at(size) for size in found.shown_sizes(for_batch_size)}
    where = ", ".join(f"{name} {number(value)}" for name, value in found.at.items())
    output.print(marked("[bold]{}[/] for {} ({})", found.title, where, found.grade), soft_wrap=True)
    best, lr = found.batch_size, found.lr
    if best is not None and lr is not None:
        output.print(marked("   batch size [bold]{}[/], learning rate [bold]{}[/]", f"{best}", f"{lr}"), soft_wrap=True)
    grid = Table("batch size", "best rate", "interval", box=None)
    for size, at_size in rates.items():
        style = "bold" if size == for_batch_size else None
        grid.add_row(f"{size:g}", f"{at_size.value:.3g}", f"[{at_size.low:.3g}, {at_size.high:.3g}]", style=style)
    output.print(grid)
    rules = Table("rule", "batch size", "rate", "expected loss of score", "interval", box=None)
    for row in found.regret.itertuples():
        rules.add_row(
            row.rule, f"{row.batch_size:.4g}", f"{row.lr:.3g}", f"{row.mean:.2g}", f"[{row.low:.2g}, {row.high:.2g}]"
        )
    output.print(rules)
    moves = Table("of", "on", "exponent", "interval", box=None)
    for row in found.exponents.itertuples():
        moves.add_row(row.of, row.on, f"{row.exponent:.2f}", f"[{row.low:.2f}, {row.high:.2f}]")
    output.print(moves)
    for line in found.lines():
        output.print(line, soft_wrap=True, markup=False)
    show_read(found.read)
    show_notes(found.notes)
