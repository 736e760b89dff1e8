"""The command export. It never imports torch, but for `--verify`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from batchlaw.cli.console import DEFAULT_URL, DataDirOption, DeviceOption, StorageOption, StudyArgument, errors, within
from batchlaw.errors import BatchlawError, StudyError

if TYPE_CHECKING:
    from batchlaw.laws.prediction import CarriedBy
    from batchlaw.results.configuration import Configuration
    from batchlaw.results.records import TrialRecord
    from batchlaw.results.verification import Verification
    from batchlaw.storage import StoredStudy

_FORMATS = "table, json, yaml, toml, csv, python, lightning, transformers, timm, wandb or optuna."


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw export digits-joint --format python -o best.py")(export)


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
    form: Annotated[str, typer.Option("--format", help=_FORMATS)] = "table",
    file: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write here.")] = None,
    trial: Annotated[int | None, typer.Option("--trial", metavar="N", help="This one in place of the best.")] = None,
    for_batch_size: Annotated[
        int | None,
        typer.Option(
            "--for-batch-size",
            metavar="B",
            callback=within("--for-batch-size", 1, 1e9),
            help="The best, moved to a batch size that need not have been tried, by the law of the study.",
        ),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="With --for-batch-size: law, constant, sqrt, linear or sde.")
    ] = "law",
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="With --for-batch-size: beyond the batch sizes that were seen.")
    ] = False,
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
    """Write out the best configurations, with their errors, ties and provenance."""
    from batchlaw.results.ranking import select, with_ties
    from batchlaw.results.records import records_of
    from batchlaw.storage import load, open_storage

    _check(form, top, per)
    _check_moving(form, top, per, trial, for_batch_size, rule, extrapolate, verify)
    stored = load(open_storage(storage), study)
    records = records_of(stored)
    if for_batch_size is not None:
        predicted = _predicted(stored, records, for_batch_size, rule, extrapolate)
        _deliver(_text(form, stored, records, [predicted], None), file)
        return
    chosen = select(records, stored.spec, top=top, per=per)
    if not chosen:
        raise StudyError(f"study {study!r} has no finished trial to export yet")
    best = select(records, stored.spec, top=1, per=None)[0]
    if trial is not None:
        chosen = [
            record for record in select(records, stored.spec, top=len(records), per=None) if record.number == trial
        ]
        if not chosen:
            raise BatchlawError(f"--trial: got {trial}; must be a completed trial of study {study!r}")
    configurations = with_ties(chosen, best, stored.spec)
    text = _text(form, stored, records, configurations, None)  # what a format refuses, it refuses before any training
    if verify is not None:
        verified = _verify(stored, chosen[0] if trial is not None else best, verify, device, data_dir, spec_file)
        text = _text(form, stored, records, configurations, verified)
    _deliver(text, file)


def _deliver(text: str, file: Path | None) -> None:
    if file is None:
        typer.echo(text.rstrip("\n"))
        return
    try:
        file.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise BatchlawError(f"--output {file}: {error.strerror or error}") from None
    errors.print(f"wrote {file}", soft_wrap=True)


def _check(form: str, top: int, per: str | None) -> None:
    """Refuse a format or a knob that is none, and several configurations where the format holds one."""
    from batchlaw.export import FORMATS, OF_ONE
    from batchlaw.results.configuration import PER

    for option, value, known in (("--format", form, FORMATS), ("--per", per, PER)):
        if value is not None and value not in known:
            raise BatchlawError(f"{option}: got {value!r}; must be one of {', '.join(known)}")
    if form in OF_ONE and top > 1:
        raise BatchlawError(f"--top: got {top}; must be 1, since --format {form} holds one configuration")
    if form in OF_ONE and per is not None:
        raise BatchlawError(f"--per: got {per!r}; must not be given, since --format {form} holds one configuration")


def _check_moving(
    form: str,
    top: int,
    per: str | None,
    trial: int | None,
    for_batch_size: int | None,
    rule: str,
    extrapolate: bool,
    verify: int | None,
) -> None:
    """Refuse options that exclude each other, and a rule that is none."""
    if trial is not None and (top > 1 or per is not None):
        raise BatchlawError(f"--trial: got {trial}; must stand without --top and --per")
    if for_batch_size is None:
        if rule != "law":
            raise BatchlawError(f"--rule: got {rule!r}; goes with --for-batch-size")
        if extrapolate:
            raise BatchlawError("--extrapolate: goes with --for-batch-size")
        return
    from batchlaw.laws.prediction import CARRIERS

    if rule not in CARRIERS:
        raise BatchlawError(f"--rule: got {rule!r}; must be one of {', '.join(CARRIERS)}")
    others = {"--top": top > 1, "--per": per is not None, "--trial": trial is not None, "--verify": verify is not None}
    if given := [option for option, is_given in others.items() if is_given]:
        raise BatchlawError(f"--for-batch-size: got {for_batch_size}; must stand without {' and '.join(given)}")
    if form == "optuna":
        raise BatchlawError("--format: got 'optuna'; what is predicted need not be a point of the study's space")


def _predicted(
    stored: "StoredStudy", records: list["TrialRecord"], batch_size: int, rule: str, extrapolate: bool
) -> "Configuration":
    from batchlaw.laws import laws_of
    from batchlaw.laws.prediction import predict

    laws = laws_of(stored.spec, records)
    found = predict(stored.spec, laws, batch_size, carried_by=cast("CarriedBy", rule), extrapolate=extrapolate)
    assert found.predicted is not None
    for warning in found.predicted.warnings:
        errors.print(f"warning: {warning}", soft_wrap=True, markup=False)
    return found


def _text(
    form: str,
    stored: "StoredStudy",
    records: list["TrialRecord"],
    configurations: list["Configuration"],
    verified: "Verification | None",
) -> str:
    from batchlaw.export import provenances_of, render

    now = datetime.now(UTC).isoformat(timespec="seconds")
    provenances = provenances_of(configurations, records, stored.spec, exported=now, verified=verified)
    return render(form, stored.spec, configurations, provenances, verified)


def _verify(
    stored: "StoredStudy",
    best: "TrialRecord",
    n_seeds: int,
    device: str,
    data_dir: Path | None,
    spec_file: Path | None,
) -> "Verification":
    from batchlaw.cli.machine import cores, runtime
    from batchlaw.errors import Diverged, WorkFailed
    from batchlaw.measure.replay import verify

    try:
        return verify(best, stored.spec, runtime(stored.spec, device, cores(), data_dir, spec_file), n_seeds)
    except Diverged:
        raise WorkFailed(f"--verify: trial {best.number} diverged on all of {n_seeds} fresh seeds") from None
