"""The command that times steps: profile."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    DataDirOption,
    DeviceOption,
    DownloadOption,
    HtmlOption,
    JsonOption,
    SpecArgument,
    StorageOption,
    ThreadsOption,
    bar_of,
    bounded,
    errors,
    line_of,
    output,
    write_page,
)
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError, StorageError, StudyError
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.results.step_time import Profile
    from batchlaw.spec import StudySpec

_NOISY = 0.1  # share of the time between quartiles; a knee shows in slopes that differ by about as much (assumption)
_HELP = """Time a step at each batch size: where larger batches stop being free, and the largest that fits.

A profile holds for one device and its CPU threads, at each batch size as many as a worker would take: measure while
nothing else runs. With --devices N the same batches are shared among N devices of the machine as well, and it tells how
many devices each batch size deserves. A study that is registered in the database keeps one profile for each device. Of
code of your own the trials that have run tell the times.
"""


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(help=_HELP, epilog="Example: batchlaw profile studies/digits-joint.toml --threads 1")(profile)


def profile(
    file: SpecArgument,
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seconds: Annotated[float, bounded("--seconds", 0.01, 60, "Time of the steps, for each batch size.")] = 1.0,
    optimizer: Annotated[
        list[str] | None,
        typer.Option(
            "--optimizer", metavar="NAME", help="One of the space's optimizers; repeat for more; default all."
        ),
    ] = None,
    devices: Annotated[
        list[int] | None,
        typer.Option("--devices", metavar="N", help="Share every batch among N devices as well; repeat for more."),
    ] = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """See `_HELP`."""
    from batchlaw.spec import read_spec
    from batchlaw.storage import note_profile
    from batchlaw.study.code import code_of
    from batchlaw.study.profiling import check_optimizers, measured

    spec = read_spec(file)
    check_optimizers(spec, optimizer)
    if html is not None and not html.parent.is_dir():
        raise BatchlawError(f"--html {html}: the folder {html.parent} does not exist")
    if spec.task is None:
        found = Study.open(spec.name, storage, file=file).profile(optimizers=optimizer, devices=devices or ())
        _tell(found, html, json_)
        return
    study, not_kept = _registered(file, spec, storage)
    with bar_of(f"profiling {spec.name}") as tick:
        found = measured(
            spec, code_of(None, file), optimizers=optimizer, seconds=seconds, devices=devices or (), device=device,
            threads=threads, data_dir=data_dir, download=download, tick=tick,
        )  # fmt: skip
    _tell(found, html, json_)
    if study is not None:
        note_profile(study.stored, found.as_record())
    kept = f"not kept: {not_kept}" if study is None else f"kept with study {spec.name}"
    errors.print(kept, soft_wrap=True, markup=False, style="dim")


def _tell(found: "Profile", html: Path | None, json_: bool) -> None:
    """Print a profile, and write its page if there is to be one."""
    if json_:
        typer.echo(json.dumps(found.as_record(), indent=2))
    else:
        _show(found)
    if html is not None:
        from batchlaw.figures.profile import profile_page

        write_page(html, profile_page(found))


def _registered(file: Path, spec: "StudySpec", storage: str) -> tuple[Study | None, str]:
    """The study in the database, or why a profile cannot be kept with it."""
    try:
        return Study.open(spec.name, storage, file=file), ""
    except StudyError as error:
        return None, line_of(error)
    except StorageError as error:
        if storage != DEFAULT_URL:
            raise
        return None, line_of(error)


def _show(found: "Profile") -> None:
    """A table for each optimizer, with its knee below."""
    output.print(marked("[bold]{}[/] {}", found.study, found.where()), soft_wrap=True)
    for optimizer in found.optimizers:
        rows, fastest = found.rows_of(optimizer), found.fastest(optimizer)
        in_parts = any(row.grad_accum_steps > 1 for row in rows)
        grid = Table(box=None, title=optimizer, title_justify="left")
        for title in ("batch size", "ms a step", "± quartiles", "examples/s", "of the most"):
            grid.add_column(title, justify="right")
        for title, wanted in (("at once", in_parts), ("peak MiB", rows[0].peak_memory_bytes is not None)):
            if wanted:
                grid.add_column(title, justify="right")
        for row in rows:
            more = [f"{row.micro_batch_size:,}"] if in_parts else []
            more += [] if row.peak_memory_bytes is None else [f"{row.peak_memory_bytes / 2**20:,.0f}"]
            grid.add_row(
                f"{row.batch_size:,}", f"{row.seconds_a_step * 1e3:.4g}", f"{row.iqr_seconds * 500:.2g}",
                f"{row.examples_a_second:,.0f}", f"{row.examples_a_second / fastest.examples_a_second:.0%}", *more,
            )  # fmt: skip
        output.print(grid)
        output.print(f"  {found.line(optimizer)}", soft_wrap=True)
        _show_sharing(found, optimizer)
    if found.largest is None:
        output.print("by the clocks of its trials, with their start and their evaluations", soft_wrap=True)
        return
    output.print(found.largest.line(), soft_wrap=True)
    if found.noise > _NOISY:
        errors.print(
            f"noisy: the stretches of a batch size differ by {found.noise:.0%} between their quartiles; measure while "
            "nothing else runs, or with more --seconds", soft_wrap=True, style="yellow",
        )  # fmt: skip


def _show_sharing(found: "Profile", optimizer: str) -> None:
    """The time of each batch on several devices, and how many it deserves."""
    sharings = found.sharings(optimizer)
    if not sharings:
        return
    grid = Table(box=None)
    for title in ("batch size", "devices", "ms a step", "speed-up", "efficiency", ""):
        grid.add_column(title, justify="right")
    for each in sharings:
        size = f"{each.batch_size:,}" if each.devices == 1 else ""
        times = (f"{each.seconds_a_step * 1e3:.4g}", f"{each.speed_up:.2f}", f"{each.efficiency:.0%}")
        grid.add_row(size, str(each.devices), *times, "→" if each.deserved else "")
    output.print(grid)
    for line in found.sharing_lines(optimizer):
        output.print(f"  {line}", soft_wrap=True)
    output.print("  → deserved: the largest speed-up × efficiency", style="dim")
