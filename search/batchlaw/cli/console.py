"""The consoles and the options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from batchlaw.errors import BatchlawError
from batchlaw.study import DEFAULT_URL as DEFAULT_URL
from batchlaw.study.files import write_text

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Arguments of the library that are not called as their options are.
_OPTIONS = {
    "data": "STUDY_OR_FILE", "reference_batch_size": "--reference", "path": "--output", "number": "TRIAL",
}  # fmt: skip
_ADVICE = {  # by what the library names as the remedy
    "file": "give the study's file",
    "extrapolate": "--extrapolate goes beyond",
    "rule": "--rule sqrt or linear moves the best trial's rate untested",
    "profile": "batchlaw profile STUDY.toml measures one",
    "download": "run again with --download, or set --data-dir",
    "Study.create": "batchlaw run STUDY.toml makes one",
    "upgrade": "batchlaw storage upgrade makes them, and batchlaw run STUDY.toml a study",
    "Study.create(name=…)": "--fork NEW_NAME starts a new study, and --trials extends this one",
}


def line_of(error: BatchlawError) -> str:
    """What the library refuses, in the words of the command: its options, and what to do."""
    option = error.argument and _OPTIONS.get(error.argument, _option(error.argument))
    advice = None
    if error.remedy:
        advice = _ADVICE.get(error.remedy, f"see {_option(error.remedy)}" if error.remedy.isidentifier() else None)
    return error.line(option, advice)


def _option(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


def write_page(html: Path, page: str) -> None:
    """Write the page that --html asks for, and say so.

    Raises:
        BatchlawError: it cannot be written.
    """
    write_text(html, page, argument="html")
    errors.print(f"wrote {html}", soft_wrap=True, markup=False)


def within(option: str, low: float, high: float) -> Callable[[float | None], float | None]:
    """A callback that holds an option to its bounds, naming option, value and bounds on one line."""

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            raise BatchlawError(f"{option}: got {value:g}; must be between {low:,g} and {high:,g}")
        return value

    return check


StorageOption = Annotated[
    str,
    typer.Option(
        "--storage", envvar="BATCHLAW_STORAGE", help="Database URL: sqlite, postgresql or mysql.", metavar="URL"
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="BATCHLAW_DATA", help="Folder of the data sets.", metavar="DIR"),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, or an accelerator of PyTorch's such as cuda.", metavar="NAME")
]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study in the database.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
