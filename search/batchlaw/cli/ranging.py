"""The command range: the largest learning rate of a stable step at each batch size."""

import json
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DataDirOption,
    DeviceOption,
    DownloadOption,
    JsonOption,
    SpecArgument,
    ThreadsOption,
    bar_of,
    output,
)
from batchlaw.consoles import marked

if TYPE_CHECKING:
    from batchlaw.results.rate_range import LearningRateRange

_HELP = """The largest learning rate of a stable step at each batch size: an upper end for base_lr, before a search.

For a STUDY.toml with a [task]. After a few steps at the lowest rate one step is tried at other rates, until the largest
is found that does not raise the training loss (critical sharpness, arXiv:2601.16979). Nothing is registered.
"""


def add_commands(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command("range", help=_HELP, epilog="Example: batchlaw range studies/digits-joint.toml")(range_)


def range_(
    file: SpecArgument,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    json_: JsonOption = False,
) -> None:
    """See `_HELP`."""
    from batchlaw.study.ranging import learning_rate_range

    with bar_of("line searches") as tick:
        found = learning_rate_range(
            file, device=device, threads=threads, data_dir=data_dir, download=download, tick=tick
        )
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)


def _show(found: "LearningRateRange") -> None:
    output.print(marked("[bold]Learning rates of study {}[/]", found.study), soft_wrap=True)
    rules = len({row.scaling_rule for row in found.rows}) > 1
    grid = Table("optimizer", *["scaling rule"] * rules, "batch size", "base_lr at most", "peak rate", box=None)
    for row in found.rows:
        peak = f"{row.peak_lr.value:.4g}" if 0 < row.peak_lr.value < float("inf") else ""
        grid.add_row(row.optimizer, *[row.scaling_rule] * rules, f"{row.batch_size:,}", f"{row}", peak)
    output.print(grid, markup=False)
    output.print(f"median and extremes of {found.seeds} seeds", style="dim")
    output.print(found.hint, soft_wrap=True, markup=False)
