"""The command that trains a stored trial again: replay."""

from typing import Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    CodeFileOption,
    DataDirOption,
    DeviceOption,
    StorageOption,
    StudyArgument,
    errors,
    output,
)
from batchlaw.study import Study


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw replay digits-joint 17")(replay)


def replay(
    study: StudyArgument,
    trial: Annotated[int, typer.Argument(help="Number of a finished trial.")],
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    file: CodeFileOption = None,
    data_dir: DataDirOption = None,
) -> int:
    """Train a trial again from the database, and compare; on the CPU the scores are equal to the last bit."""
    comparison = Study.open(study, storage, file=file).replay(trial, device=device, data_dir=data_dir)
    for what, recorded, replayed in comparison.pairs:
        output.print(f"{what:>12}  recorded {recorded:.10g}  replayed {replayed:.10g}")
    if comparison.largest_difference == 0:
        output.print(f"trial {trial}: equal to the last bit")
        return 0
    errors.print(f"trial {trial}: largest difference {comparison.largest_difference:.3g}")
    return 1
