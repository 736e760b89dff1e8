"""The consoles and the options that several commands share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchlaw.consoles import PlainConsole
from batchlaw.cores import THREADS
from batchlaw.errors import BatchlawError
from batchlaw.study import DEFAULT_URL as DEFAULT_URL
from batchlaw.study.files import write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

output = PlainConsole()
errors = PlainConsole(stderr=True)

# Arguments of the library whose option has another name.
_OPTIONS = {
    "data": "STUDY_OR_FILE", "reference_batch_size": "--reference", "path": "--output", "number": "TRIAL",
}  # fmt: skip
_ADVICE = {  # what the command says where the library names a remedy
    "file": "give the study's file",
    "extrapolate": "--extrapolate goes beyond",
    "rule": "--rule sqrt or linear moves the best trial's rate untested",
    "by, average or where": "judge its levels apart by --by, average over them by --average, or keep one by --where",
    "profile": "batchlaw profile STUDY.toml measures one",
    "download": "run again with --download, or set --data-dir",
    "Study.retry": "batchlaw retry STUDY has them run again, once the cause is mended",
    "Study.run": "go on with batchlaw run",
    "Study.create": "batchlaw run STUDY.toml makes one",
    "batchlaw storage upgrade": "run batchlaw storage upgrade",
    "force": "batchlaw stop STUDY ends them, and --force does not wait for them",
    "Study.create(name=…)": "--fork NEW_NAME starts a new study, and --trials extends this one",
}


def line_of(error: BatchlawError) -> str:
    """The message of an error in the words of the command: with its options, and with advice."""
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


def write_figures(
    html: Path, title: str, question: str, what: str, figures: "dict[str, go.Figure | None]", notes: Sequence[str] = ()
) -> None:
    """Write a page of the figures that there are, with notes below them.

    Raises:
        BatchlawError: there is none, or the page cannot be written.
    """
    from batchlaw.figures.pages import drawings, page

    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    if not drawn:
        raise BatchlawError(f"{title} shows no law to draw", argument="html", got=str(html))
    shown = drawings(drawn, "figure")
    write_page(html, page("figures.html", title=f"{title}: {what}", question=question, drawings=shown, notes=notes))


@contextmanager
def bar_of(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal while something is done, and what moves it: called with the parts done and that of all."""
    if not (shown and errors.is_terminal):
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tick


def bounded(option: str, low: float, high: float, text: str, **more: Any) -> Any:
    """An option that takes a number between bounds, with its help text; an error names all of them on one line."""

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            raise BatchlawError(f"{option}: got {value:g}; must be between {low:,g} and {high:,g}")
        return value

    return typer.Option(option, callback=check, help=text, **more)


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
ThreadsOption = Annotated[
    int | None,
    bounded(
        "--threads", 1, 4096, "CPU threads of each process that trains; OMP_NUM_THREADS, else as many as pay.",
        envvar=THREADS,
    ),
]  # fmt: skip
SpecArgument = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download the data set if it is missing.")]
CheckpointDirOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint-dir",
        envvar="BATCHLAW_CHECKPOINTS",
        metavar="DIR",
        help="Folder of checkpoints, on a disk that all hosts share.",
    ),
]
CodeFileOption = Annotated[
    Path | None,
    typer.Option("--file", metavar="STUDY.toml", help="To train code of your own: the file of its study."),
]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study in the database.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the figure, one file that needs no network.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
