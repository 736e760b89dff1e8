"""Commands on trials: trials, show, tag, and try, which makes one and registers nothing."""

import json
from typing import Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    DeviceOption,
    JsonOption,
    SpecArgument,
    StorageOption,
    StudyArgument,
    bounded,
    output,
)
from batchlaw.study import Study


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw trials digits-joint --csv > trials.csv")(trials)
    app.command(epilog="Example: batchlaw show digits-joint 17")(show)
    app.command(epilog="Example: batchlaw tag digits-joint 17 candidate")(tag)
    app.command("try", epilog="Example: batchlaw try study.toml --seconds 60")(try_)


def trials(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with every hyperparameter.")] = False,
    json_: JsonOption = False,
) -> None:
    """List every trial of a study: complete, pruned, diverged, failed, lost and running."""
    found = Study.open(study, storage)
    if csv:
        typer.echo(found.trials().to_csv(index=False), nl=False)
    elif json_:
        typer.echo(found.trials().to_json(orient="records", date_format="iso", indent=2))
    else:
        from batchlaw.export.table import trials_table
        from batchlaw.results.records import records_of
        from batchlaw.storage import tags_of

        records = records_of(found.stored)
        output.print(
            trials_table(found.spec, records, tags_of(found.stored)) if records else "no trial has started yet"
        )


def tag(
    study: StudyArgument,
    trial: Annotated[int, typer.Argument(help="Number of a trial.")],
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG]...", help="Words, such as candidate.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take these off; all, if none is named.")] = False,
    storage: StorageOption = DEFAULT_URL,
) -> None:
    """Put words on a trial, which stand in the table of trials; without a word, print those that it has."""
    found = Study.open(study, storage).tag(trial, *(tags or ()), remove=remove)
    _say(" ".join(found) or f"trial {trial} has no tags")


def show(
    study: StudyArgument,
    trial: Annotated[int, typer.Argument(help="Number of a trial.")],
    storage: StorageOption = DEFAULT_URL,
    json_: JsonOption = False,
) -> None:
    """Show one trial: its configuration, how it ended and why, its curve, and a program's arguments and output."""
    found = Study.open(study, storage).show(trial)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    for line in found.lines():
        output.print(line, soft_wrap=True, markup=False, highlight=False)


def try_(
    file: SpecArgument,
    seconds: Annotated[float, bounded("--seconds", 0.1, 86_400, "How long to train.")] = 30.0,
    device: DeviceOption = "auto",
) -> int:
    """Train one configuration of a study of your own code for a moment, and show what is understood of it.

    Nothing is registered. The exit code is 1 if the study's metric was not heard.
    """
    from batchlaw.study.tryout import try_out

    found = try_out(file, seconds=seconds, device=device, say=_say)
    for line in found.lines():
        _say(line)
    if not found.heard_metric:
        return 1
    _say(f"Next: batchlaw run {file}")
    return 0


def _say(line: str) -> None:
    output.print(line, soft_wrap=True, markup=False, highlight=False)
