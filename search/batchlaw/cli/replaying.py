"""The command that trains a stored trial again: replay."""

from pathlib import Path
from typing import Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, DataDirOption, DeviceOption, StorageOption, StudyArgument, errors, output
from batchlaw.cli.machine import cores, runtime
from batchlaw.errors import SpecError


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw replay digits-joint 17")(replay)


def replay(
    study: StudyArgument,
    trial: Annotated[int, typer.Argument(help="Number of a finished trial.")],
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    file: Annotated[
        Path | None, typer.Option("--file", metavar="STUDY.toml", help="The file of a study of your own code.")
    ] = None,
    data_dir: DataDirOption = None,
) -> int:
    """Train a trial again from the database, and compare; on the CPU the scores are equal to the last bit."""
    from batchlaw.measure.replay import replay as replay_trial
    from batchlaw.results.records import records_of
    from batchlaw.storage import load, open_storage

    stored = load(open_storage(storage), study)
    records = {record.number: record for record in records_of(stored)}
    if trial not in records:
        raise SpecError(f"TRIAL: got {trial}; study {study!r} has the trials 0 to {len(records) - 1}")
    comparison = replay_trial(records[trial], stored.spec, runtime(stored.spec, device, cores(), data_dir, file))
    for what, recorded, replayed in comparison.pairs:
        output.print(f"{what:>12}  recorded {recorded:.10g}  replayed {replayed:.10g}")
    if comparison.largest_difference == 0:
        output.print(f"trial {trial}: equal to the last bit")
        return 0
    errors.print(f"trial {trial}: largest difference {comparison.largest_difference:.3g}")
    return 1
