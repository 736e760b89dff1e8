"""The argument and the options of the commands that read a stored study or runs made elsewhere."""

import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from batchlaw.cli.console import bounded, output
from batchlaw.errors import BatchlawError

_DATA: Any = typer.Argument(
    metavar="STUDY_OR_FILE…",
    help="A study in the database; or runs made elsewhere: files, - for standard input, optuna:STUDY, "
    "mlflow:EXPERIMENT, or a folder of TensorBoard runs or of files (with a slash: runs/).",
)
StudyOrFileArgument = Annotated[list[str], _DATA]
StudyOrFileOption = Annotated[list[str] | None, _DATA]
BootstrapSeedOption = Annotated[int, bounded("--bootstrap-seed", 0, 2**63 - 1, "Of draws of optima from their sets.")]

_ENDINGS = (
    ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".md", ".xlsx", ".parquet", ".csv.gz", ".tsv.gz", ".json.gz",
    ".csv.zip",
)  # fmt: skip
_STORES = ("optuna:", "mlflow:")
_PANEL = "Runs made elsewhere"


def _option(name: str, metavar: str | None, help_: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help_, rich_help_panel=_PANEL)


def _options(
    lr: Annotated[str | None, _option("--lr", "COL", "Learning rate: a column, or an expression over columns.")] = None,
    batch_size: Annotated[str | None, _option("--batch-size", "COL", "Batch size: likewise.")] = None,
    score: Annotated[
        str | None, _option("--score", "COL[,COL…]", "Column of the score, or several, a seed each.")
    ] = None,
    direction: Annotated[
        str | None, _option("--direction", None, "maximize or minimize the score; told by its name.")
    ] = None,
    seed: Annotated[str | None, _option("--seed", "COL", "Column that names the seed of a row.")] = None,
    error: Annotated[str | None, _option("--error", "COL", "Column of the standard error of the score.")] = None,
    seeds: Annotated[
        str | None, _option("--seeds", "N|COL", "How many seeds a score is the mean of: a number or a column.")
    ] = None,
    tokens_per_example: Annotated[
        str | None, _option("--tokens-per-example", "N|COL", "Tells batch sizes in tokens.")
    ] = None,
    by: Annotated[str | None, _option("--by", "COL,…", "Each level of these by itself, such as the optimizer.")] = None,
    over: Annotated[
        list[str] | None, _option("--over", "COL", "How optima move with this column, such as tokens; repeatable.")
    ] = None,
    average: Annotated[
        str | None, _option("--average", "COL,…", "Average over the levels of these, such as the weight decay.")
    ] = None,
    where: Annotated[str | None, _option("--where", "EXPR", "Rows to keep, such as 'depth == 2 and a < 1e-3'.")] = None,
    missing: Annotated[
        str | None, _option("--missing", "KIND", "'diverged' takes empty scores as diverged runs; missing.")
    ] = None,
    diverged_above: Annotated[
        float | None, _option("--diverged-above", "X", "Runs with a score above X diverged; with minimize.")
    ] = None,
    diverged_below: Annotated[
        float | None, _option("--diverged-below", "X", "Runs with a score below X diverged; with maximize.")
    ] = None,
    diverged_where: Annotated[
        str | None, _option("--diverged-where", "EXPR", "Rows of runs that diverged, such as 'grad_norm > 1e4'.")
    ] = None,
    epochs: Annotated[
        str | None, _option("--epochs", "KIND", "Of several rows of one run the 'last' counts, or the 'best'; last.")
    ] = None,
    table: Annotated[str | None, _option("--table", "N[,N…]", "Table of a page or workbook, from 1.")] = None,
    format_: Annotated[str | None, _option("--format", "NAME", "Such as csv or wandb; told by the content.")] = None,
    alpha: Annotated[
        float | None, _option("--alpha", None, "Level of the tests, one less the confidence of intervals; 0.05.")
    ] = None,
    show_cells: Annotated[
        bool, _option("--show-cells", None, "Print the grid that was understood, and judge nothing.")
    ] = False,
) -> None:
    """The options of runs made elsewhere, in the order of the help."""


def reads_runs(command: Callable[..., None]) -> Callable[..., None]:
    """A command with all options of runs made elsewhere in place of its parameter `columns`, a mapping of them.

    With `--show-cells` the grid is printed and the command is not called.
    """
    own, added = inspect.signature(command, eval_str=True), inspect.signature(_options)

    @wraps(command)
    def called(**given: Any) -> None:
        columns = {name.rstrip("_"): given.pop(name) for name in added.parameters}
        if columns.pop("show_cells"):
            _show_cells(given["data"], given["storage"], columns)
            return
        command(columns=columns, **given)

    before: list[inspect.Parameter] = []
    after: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        if parameter.name != "columns":
            (after if after or parameter.default is not parameter.empty else before).append(parameter)
    parameters = [*before, *added.parameters.values(), *after]
    called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def is_file(data: Sequence[str]) -> bool:
    """Whether runs made elsewhere are meant: a file that exists or whose name ends as one's does, a folder, a store."""
    if len(data) > 1:
        return True
    (name,) = data
    if name == "-" or name.startswith(_STORES) or name.lower().endswith((*_ENDINGS, os.sep)):
        return True
    with suppress(OSError, ValueError):  # a name that no file can have
        return Path(name).is_file()
    return False


def of_files(data: Sequence[str], storage: str, **options: Any) -> dict[str, Any]:
    """The runs and the options that were given, as arguments of `claim`, `law` and `transfer`."""
    given = {name: value for name, value in options.items() if value not in (None, [])}
    if any(name.startswith(_STORES) for name in data):
        given["storage"] = storage if data[0].startswith("optuna:") else _given(storage)
    return {"data": data[0] if len(data) == 1 else list(data), **given}


def _given(storage: str) -> str | None:
    """The storage unless it is batchlaw's own default, which is no tracking URI."""
    from batchlaw.cli.console import DEFAULT_URL

    return None if storage == DEFAULT_URL else storage


def check_none_of_a_file(study: str, **options: Any) -> None:
    """Refuse options that a stored study has no use for."""
    for name, value in options.items():
        if value not in (None, []):
            raise BatchlawError(f"goes with a file, and {study!r} names a study", argument=name, got=value)


def _show_cells(data: Sequence[str], storage: str, columns: dict[str, Any]) -> None:
    """Print which columns, which cells and what was left out."""
    if not is_file(data):
        raise BatchlawError("goes with a file", argument="show_cells", got=data[0])
    from batchlaw.tables.columns import Columns
    from batchlaw.tables.grid import shown_cells
    from batchlaw.tables.reading import read_runs

    given = of_files(data, storage, **{name: value for name, value in columns.items() if name != "alpha"})
    runs = read_runs(given.pop("data"), Columns.of(**given))
    show_read(runs.columns.recognised)
    typer.echo(shown_cells(runs).to_string())
    show_notes(runs.notes)


def show_notes(notes: Sequence[str]) -> None:
    """Print what a reader must know about the runs."""
    for note in notes:
        output.print(f"note: {note}", soft_wrap=True, markup=False)


def show_read(read: str) -> None:
    """Print which columns of a table were recognised."""
    if read:
        output.print(f"read: {read}", soft_wrap=True, markup=False, style="dim")
