"""Commands that read: status, export, schema. None of them imports torch, but for `export --verify`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.console import (
    DataDirOption,
    DeviceOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    errors,
    output,
    within,
)
from search.errors import BatchlawError, StudyError
from search.storage import DEFAULT_URL, StoredStudy, load, open_storage


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw status digits-joint --json")(status)
    app.command(epilog="Example: batchlaw export digits-joint --format python -o best.py")(export)
    app.command(epilog="Example: batchlaw schema > batchlaw.schema.json")(schema)


def status(study: StudyArgument, storage: StorageOption = DEFAULT_URL, json_: JsonOption = False) -> None:
    """Where a study stands, from any terminal."""
    from search.status import best_line, counts_line, status_of

    now = status_of(load(open_storage(storage), study))
    if json_:
        typer.echo(json.dumps(now.as_dict(), indent=2))
        return
    output.print(f"[bold]{now.spec.name}[/]: {now.spec.question}")
    output.print(f"{counts_line(now)} · {now.slots.held} running · {now.slots.open} waiting", soft_wrap=True)
    output.print(best_line(now), soft_wrap=True)


def export(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    top: Annotated[
        int, typer.Option("--top", callback=within("--top", 1, 1_000_000), help="How many of the best.")
    ] = 1,
    per: Annotated[
        str | None,
        typer.Option(
            "--per", help="The best of each batch_size, base_lr (by half decades), optimizer or scaling_rule."
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, json, yaml, toml, csv or python.")] = "table",
    file: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write here.")] = None,
    verify: Annotated[
        int | None,
        typer.Option(
            "--verify",
            callback=within("--verify", 2, 1000),
            help="Train the winner on so many fresh seeds; score the test data.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    spec_file: Annotated[
        Path | None,
        typer.Option("--file", metavar="STUDY.toml", help="With --verify: the file of a study of your own code."),
    ] = None,
) -> None:
    """Write out the best configurations, with their errors and ties."""
    from search.export import FORMATS, render, select, with_ties
    from search.export.configurations import PER
    from search.records import records_of

    for option, value, known in (("--format", form, FORMATS), ("--per", per, PER)):
        if value is not None and value not in known:
            raise BatchlawError(f"{option}: got {value!r}; must be one of {', '.join(known)}")
    stored = load(open_storage(storage), study)
    records = records_of(stored.study)
    chosen = select(records, stored.spec, top=top, per=per)
    if not chosen:
        raise StudyError(f"study {study!r} has no finished trial to export yet")
    best = select(records, stored.spec, top=1, per=None)[0]
    verified = None if verify is None else _verify(stored, best, verify, device, data_dir, spec_file)
    text = render(form, stored.spec, with_ties(chosen, best, stored.spec), chosen, verified)
    if file is None:
        typer.echo(text.rstrip("\n"))
        return
    try:
        file.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise BatchlawError(f"--output {file}: {error.strerror or error}") from None
    errors.print(f"wrote {file}", soft_wrap=True)


def _verify(
    stored: StoredStudy, best: Any, n_seeds: int, device: str, data_dir: Path | None, spec_file: Path | None
) -> dict[str, Any]:
    from search.cli.machine import cores, runtime
    from search.errors import Diverged, WorkFailed
    from search.replay import verify

    try:
        return verify(best, stored.spec, runtime(stored.spec, device, cores(), data_dir, spec_file), n_seeds)
    except Diverged:
        raise WorkFailed(f"--verify: trial {best.number} diverged on all of {n_seeds} fresh seeds") from None


def schema() -> None:
    """Print the JSON Schema of a study file, for editors."""
    from search.spec import StudySpec

    typer.echo(json.dumps(StudySpec.model_json_schema(), indent=2))
