"""The command export. It imports torch for `--verify` only."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    CodeFileOption,
    DataDirOption,
    DeviceOption,
    StorageOption,
    StudyArgument,
    ThreadsOption,
    bar_of,
    bounded,
    errors,
)
from batchlaw.study import Study

_FORMATS = "table, json, yaml, toml, csv, command, python, lightning, transformers, timm, wandb or optuna."


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw export digits-joint --format python -o best.py")(export)


def export(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    top: Annotated[int, bounded("--top", 1, 1_000_000, "How many of the best.")] = 1,
    per: Annotated[
        str | None,
        typer.Option(
            "--per", help="The best of each batch_size, base_lr (by half decades), optimizer, …, or parameter of yours."
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help=_FORMATS)] = "table",
    file: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file.")] = None,
    trial: Annotated[int | None, typer.Option("--trial", metavar="N", help="This trial instead of the best.")] = None,
    for_batch_size: Annotated[
        int | None,
        bounded(
            "--for-batch-size",
            1,
            1e9,
            "The best, moved to a batch size that need not have been tried, by the law of the study.",
            metavar="B",
        ),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="With --for-batch-size: law, constant, sqrt, linear or sde.")
    ] = "law",
    extrapolate: Annotated[
        bool,
        typer.Option("--extrapolate", help="With --for-batch-size: allow batch sizes beyond those that were seen."),
    ] = False,
    verify: Annotated[
        int | None, bounded("--verify", 2, 1000, "Train the winner on this many fresh seeds, and score the test data.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    spec_file: CodeFileOption = None,
) -> None:
    """Write out the best configurations, with their errors, ties and provenance."""
    from batchlaw.study.exporting import Choice

    choice = Choice(
        format=form, top=top, per=per, trial=trial, for_batch_size=for_batch_size, rule=rule, extrapolate=extrapolate,
        verify=verify,
    )  # fmt: skip
    choice.check()  # before the database is opened
    with warnings.catch_warnings(record=True) as cautions:
        warnings.simplefilter("always", UserWarning)
        found = Study.open(study, storage, file=spec_file)
        with bar_of("training on fresh seeds", shown=verify is not None) as tick:
            text = found.export(
                path=file, device=device, threads=threads, data_dir=data_dir, tick=tick, **asdict(choice)
            )
    for caution in cautions:
        errors.print(f"warning: {caution.message}", soft_wrap=True, markup=False)
    if file is None:
        typer.echo(text.rstrip("\n"))
    else:
        errors.print(f"wrote {file}", soft_wrap=True)
