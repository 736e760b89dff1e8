"""Registering a study: the command create, and what it and run say of a study."""

from pathlib import Path
from typing import Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    DataDirOption,
    DownloadOption,
    SpecArgument,
    StorageOption,
    bounded,
    errors,
    output,
)
from batchlaw.study import Study

TrialsOption = Annotated[int | None, bounded("--trials", 1, 1_000_000, "Number of trials; replaces the file's.")]
ForkOption = Annotated[
    str | None, typer.Option("--fork", metavar="NEW_NAME", help="Start a new study from the changed file.")
]
WarmStartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--warm-start", metavar="STUDY|FILE",
        help="Try first the best of an earlier study, or of a table of runs; repeatable.",
    ),
]  # fmt: skip


def create(
    file: SpecArgument,
    storage: StorageOption = DEFAULT_URL,
    trials: TrialsOption = None,
    fork: ForkOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    warm_start: WarmStartOption = None,
) -> None:
    """Register a study without running it."""
    study = registered(file, storage, fork, trials, data_dir, download, warm_start)
    show_preregistration(study)
    hint(study)
    output.print(f"{study.name} is registered in {study.storage} with {budget_text(study)}.", soft_wrap=True)
    option = "" if storage == DEFAULT_URL else f" --storage '{study.storage}'"
    if study.spec.named_code is None:
        output.print(f"Start a worker on any machine:  batchlaw worker {study.name}{option}", soft_wrap=True)
    else:
        again = f"{file}{f' --fork {fork}' if fork else ''}{option}"
        output.print(f"Start a worker on any machine that has the code:  batchlaw worker {again}", soft_wrap=True)


def budget_text(study: Study) -> str:
    """The budget of a study in words."""
    counts, seconds = study.stored.slots.counts(), study.spec.arm.budget_seconds
    trials = [] if counts.open_ended else [f"{counts.total} trial{'s' * (counts.total != 1)}"]
    return " or ".join([*trials, *([] if seconds is None else [f"{seconds:,g} s"])])


def registered(
    file: Path, storage: str, fork: str | None, trials: int | None, data_dir: Path | None, download: bool,
    warm_start: list[str] | None,
) -> Study:  # fmt: skip
    """Register the study or open it, and say where it is not as the options have it."""
    from batchlaw.results.records import briefs_of
    from batchlaw.spec import read_spec
    from batchlaw.storage import is_stored

    known = bool(warm_start) and is_stored(storage, fork or read_spec(file).name, new=fork is not None)
    study = Study.create(
        file, storage, name=fork, trials=trials, data_dir=data_dir, download=download, warm_start=warm_start or ()
    )  # fmt: skip
    _say_renamed(study, file, fork)
    if known:
        errors.print(f"note: {study.name} is registered already, so --warm-start changes nothing", soft_wrap=True)
    elif warm_start:
        n = len(briefs_of(study.stored))
        output.print(f"{n} configuration{'s' * (n != 1)} {'are' if n != 1 else 'is'} tried first.", soft_wrap=True)
    return study


def _say_renamed(study: Study, file: Path, fork: str | None) -> None:
    """Say that the study of a file has another name now."""
    from batchlaw.spec import read_spec

    name = fork or read_spec(file).name
    if name != study.name:
        errors.print(f"{name} was renamed: this is {study.name}; --fork {name} starts a new study", soft_wrap=True)


def hint(study: Study) -> None:
    """Say what was probably not meant."""
    from batchlaw.spec.hints import hints_of

    for hint in hints_of(study.spec):
        errors.print(f"note: {hint}", soft_wrap=True)


def show_preregistration(study: Study) -> None:
    """Print what would support and what would contradict each claim, as it was recorded with the study."""
    from batchlaw.claims.hypotheses import preregistration

    if study.spec.claim is None:
        return
    for entry in preregistration(study.spec.claim):
        output.print("{hypothesis}: {statement}".format(**entry), soft_wrap=True)
        output.print(
            "   supported if {supported_if};\n   contradicted if {contradicted_if}".format(**entry),
            soft_wrap=True,
            style="dim",
        )
        if "grid" in entry:
            output.print(f"   the grid is {entry['grid']}", soft_wrap=True, style="dim")
