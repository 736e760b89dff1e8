"""The command recommend."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    HtmlOption,
    JsonOption,
    StorageOption,
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
    from batchlaw.laws.recommendation import Candidate, Recommendation
    from batchlaw.laws.table_recommendation import Choice, TableRecommendation
    from batchlaw.spec import StudySpec

_MOST_IN_FULL = 4  # strata of a table with all their batch sizes


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    examples = ("digits-joint --seconds 2", "runs.csv --by optimizer")
    app.command(epilog="\n\n".join(f"Example: batchlaw recommend {example}" for example in examples))(recommend)


@reads_runs
def recommend(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    seconds: Annotated[float | None, bounded("--seconds", 1e-3, 1e9, "Longest training time.")] = None,
    devices: Annotated[
        int | None, bounded("--devices", 1, 1_000_000, "Devices that share every batch, of a study; 1.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="DEVICE", help="Part of the name of a profiled device; the latest profile."),
    ] = None,
    front: Annotated[
        bool, typer.Option("--front", help="Of a study: for each score that it attained, the fastest configuration.")
    ] = False,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """The fastest configuration that is as good as the best: of a study, or which batch size and rate of a file."""
    if is_file(data):
        for name, value in {"devices": devices, "on": on, "front": front or None}.items():
            if value is not None:
                raise BatchlawError(f"goes with a study, and {data[0]!r} is a file", argument=name, got=value)
        _of_files(of_files(data, storage, **columns, seconds=seconds), html, json_=json_)
        return
    check_none_of_a_file(data[0], **columns)
    opened = Study.open(data[0], storage)
    if front:
        for name, given in {"seconds": seconds, "devices": devices, "on": on, "html": html}.items():
            if given is not None:
                raise BatchlawError("does not go with --front", argument=name, got=given)
        _show_front(opened, json_=json_)
        return
    spec, found = opened.spec, opened.recommend(seconds=seconds, devices=devices or 1, on=on)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show_recommendation(found, spec)
    if html is not None:
        from batchlaw.figures.laws import front_figure

        figures = {"front": front_figure(spec, found)}
        write_figures(html, data[0], spec.purpose, "score against time", dict(figures))


def _show_front(study: Study, *, json_: bool) -> None:
    """The trials' own clocks and scores; a profile and other devices have no part in them."""
    from batchlaw.export import usual_format
    from batchlaw.export.table import table

    found = study.front()
    if json_:
        typer.echo(json.dumps([each.as_point() for each in found], indent=2))
        return
    if not found:
        output.print("no trial whose seconds are known has finished yet")
        return
    output.print(table(study.spec, list(found), what=found.what))
    form = usual_format(study.spec)
    output.print(f"Take one away:  batchlaw export {study.name} --trial N --format {form}", soft_wrap=True)


def _of_files(given: dict[str, Any], html: Path | None, *, json_: bool) -> None:
    from batchlaw.laws.table_recommendation import recommend as recommended

    found = recommended(**given)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show_of_table(found)
    if html is not None:
        from batchlaw.figures.choices import choices_figure

        figures = {f"choices-{place}": choices_figure(each) for place, each in enumerate(found.strata)}
        write_figures(html, found.title, "", f"which batch size ({found.grade})", dict(figures), found.notes)


def _show_of_table(found: "TableRecommendation") -> None:
    for part in found.strata[:_MOST_IN_FULL]:
        output.print(marked("[bold]{}[/]", part.heading), soft_wrap=True)
        for line in part.lines():
            output.print(f"   {line}", soft_wrap=True, markup=False)
        unit = part.clock[1] if part.clock else ""
        measured = any(each.lost is not None for each in part.choices)
        columns = ["", "batch size", "best rate", "", part.score.replace("_", " "), *(["lost"] if measured else [])]
        grid = Table(*columns, *([unit] if unit else []), box=None)
        for each in part.choices:
            mark = "→" if each == part.chosen else "=" if each.tied else ""
            grid.add_row(mark, *_cells_of(each, measured=measured, timed=bool(unit)))
        output.print(grid)
    for part in found.strata[_MOST_IN_FULL:]:
        output.print(part.heading, soft_wrap=True, markup=False)
    if any(each.tied for part in found.strata for each in part.choices):
        output.print("= cannot be told from the best, at 5 % for all batch sizes together.", style="dim")
    show_read(found.read)
    show_notes(found.notes)


def _cells_of(each: "Choice", *, measured: bool, timed: bool) -> list[str]:
    score = "" if each.score is None else f"{each.score:.5g}"
    if each.standard_error is not None:
        score += f" ± {each.standard_error:.2g}"
    known = each.low is not None and each.high is not None
    where = f"[{each.low:.3g}, {each.high:.3g}]" if known else (each.status or "").replace("_", " ")
    lost = "" if each.lost is None else f"{each.lost:.3g} [{each.lost_low or 0:.3g}, {each.lost_high or 0:.3g}]"
    return [
        "not told" if each.batch_size is None else number(each.batch_size),
        "" if each.lr is None else f"{each.lr:.3g}", where, score, *([lost] if measured else []),
        *(["" if each.time is None else f"{each.time:.4g}"] if timed else []),
    ]  # fmt: skip


def _show_recommendation(found: "Recommendation", spec: "StudySpec") -> None:
    output.print(marked("[bold]{}[/]: seconds by {}", spec.name, found.clock), soft_wrap=True)
    grid = Table("", "optimizer", "batch size", "peak lr", "seconds", spec.arm.metric.replace("_", " "), box=None)
    middle = (found.best.value + max(found.candidates, key=lambda each: abs(each.value - found.best.value)).value) / 2
    for candidate in found.candidates:
        useful = abs(candidate.value - found.best.value) <= abs(middle - found.best.value)  # in the better half
        if candidate.within or (candidate.on_front and useful):
            mark = "→" if candidate is found.chosen else "✓" if candidate.within else ""
            grid.add_row(mark, *_cells(candidate))
    output.print(grid)
    output.print(
        "✓ within one standard error of the best; the others are faster and in the better half of the scores.",
        style="dim",
    )
    chosen = found.chosen
    if chosen.lr_by_law:
        output.print(f"The law puts the best rate there at {chosen.lr_by_law}.", soft_wrap=True)
    if chosen.devices_deserved:
        output.print(f"Devices that its batch size deserves, of those measured: {chosen.devices_deserved}.")
    if found.left_out:
        more = f" (and {len(found.left_out) - 1} more; --json names them)" if len(found.left_out) > 1 else ""
        output.print(f"left out: {found.left_out[0]}{more}", soft_wrap=True, style="dim", markup=False)
    from batchlaw.export import usual_format

    form = usual_format(spec)
    output.print(f"Take it away:  batchlaw export {spec.name} --trial {chosen.configuration.trial} --format {form}")


def _cells(candidate: "Candidate") -> list[str]:
    config, error = candidate.config, candidate.configuration.score_error
    score = f"{candidate.value:.4f}" + (f" ± {error:.4f}" if error is not None else "")
    part = f" after {candidate.progress:.0%}" if candidate.progress < 1 else ""
    return [
        config.optimizer, str(config.batch_size), f"{config.peak_lr:.3g}", f"{candidate.seconds:.3g}", f"{score}{part}"
    ]  # fmt: skip
