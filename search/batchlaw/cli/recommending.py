"""The command recommend."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    HtmlOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    bounded,
    output,
    write_figures,
)
from batchlaw.consoles import marked
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.laws.recommendation import Candidate, Recommendation
    from batchlaw.spec import StudySpec


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw recommend digits-joint --seconds 2")(recommend)


def recommend(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    seconds: Annotated[float | None, bounded("--seconds", 1e-3, 1e9, "Longest training time.")] = None,
    devices: Annotated[int, bounded("--devices", 1, 1_000_000, "Devices that share every batch.")] = 1,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="DEVICE", help="Part of the name of a profiled device; the latest profile."),
    ] = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """The fastest configuration whose score is within one standard error of the best, by the law and the profile."""
    opened = Study.open(study, storage)
    spec, found = opened.spec, opened.recommend(seconds=seconds, devices=devices, on=on)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show_recommendation(found, spec)
    if html is not None:
        from batchlaw.figures.laws import front_figure

        figures = {"front": front_figure(spec, found)}
        write_figures(html, study, spec.purpose, "score against time", dict(figures))


def _show_recommendation(found: "Recommendation", spec: "StudySpec") -> None:
    shared = f", every batch shared among {found.devices}" if found.devices > 1 else ""
    output.print(marked("[bold]{}[/]: seconds by {}{}", spec.name, found.clock, shared), soft_wrap=True)
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
