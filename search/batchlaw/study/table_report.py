"""The report of a table of runs."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlaw.errors import DataError
from batchlaw.study.files import StrPath, write_text

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.figures.table_page import TableAccount
    from batchlaw.study.reporting import Report

_JUDGED = ("H9", "H6", "H7", "H8", "H19")  # the first is that of the page's verdict


def report(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    path: StrPath,
    *,
    png: StrPath | None = None,
    svg: StrPath | None = None,
    optimizer: str = "sgd",
    alpha: float = 0.05,
    bootstrap_seed: int = 0,
    **columns: Any,
) -> Path:
    """Write one HTML file, which needs no network, on a table of runs.

    It has what was understood of the table, the grade of its evidence, which batch size and learning rate to take, the
    verdicts, laws, costs of scaling rules, what is confounded with what, and what to run next, with figures.

    Args:
        data: a DataFrame, or the path of a file, as for `batchlaw.law`.
        path: of the HTML file.
        png: a folder to write every figure to as PNG.
        svg: a folder to write every figure to as SVG.
        optimizer: of the runs, as for `batchlaw.law`.
        alpha: one less the confidence of every interval, and the level of every test.
        bootstrap_seed: of the draws of optima from their sets, 0 or more.
        columns: further arguments of `batchlaw.law`, such as `lr`, `batch_size`, `score`, `direction` and `where`.

    Raises:
        DataError: the file cannot be read, or has no column of scores.
        BatchlawError: an argument has a value that cannot be used, or a file cannot be written.
    """
    return write_table_report(
        data, Path(path), png=None if png is None else Path(png), svg=None if svg is None else Path(svg),
        optimizer=optimizer, alpha=alpha, bootstrap_seed=bootstrap_seed, **columns,
    ).page  # fmt: skip


def write_table_report(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]", page: Path, *, png: Path | None, svg: Path | None,
    optimizer: str = "sgd", alpha: float = 0.05, bootstrap_seed: int = 0, **columns: Any,
) -> "Report":  # fmt: skip
    """As `report`, and tell what was written."""
    from batchlaw.figures.images import check_images, write_images
    from batchlaw.figures.table_page import table_page
    from batchlaw.study.reporting import Report, check_places

    folders = {kind: folder for kind, folder in (("png", png), ("svg", svg)) if folder is not None}
    for kind in folders:
        check_images(kind)
    check_places(page, folders)
    account = _account(data, optimizer, alpha, bootstrap_seed, **columns)
    write_text(page, table_page(account, written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")))
    drawn = account.figures if folders else {}
    images = {folder / f"{name}.{kind}": figure for name, figure in drawn.items() for kind, folder in folders.items()}
    if images:
        write_images(images, lambda: None)
    return Report(page, tuple(images), {})


def _account(data: Any, optimizer: str, alpha: float, bootstrap_seed: int, **columns: Any) -> "TableAccount":
    """All that is found in a table, read once."""
    from batchlaw.claims.table_claim import claim_of_table
    from batchlaw.figures.table_page import TableAccount
    from batchlaw.laws.law import with_strata
    from batchlaw.laws.table_recommendation import recommendation_of_laws
    from batchlaw.laws.tables import best_score, laws_for_costs, laws_of_table, parted_for, transfer_of_laws

    parted = parted_for(data, optimizer, alpha, bootstrap_seed, **columns)
    laws = laws_of_table(parted, optimizer, bootstrap_seed)
    transfer, no_costs = None, None
    try:
        transfer = transfer_of_laws(laws_for_costs(parted, laws), None)
    except DataError as error:
        no_costs = str(error)
    advice = None
    with suppress(DataError):  # no run has a score, which the verdicts say
        advice = recommendation_of_laws(parted, laws)
    return TableAccount(
        parted, claim_of_table(parted, _JUDGED, bootstrap_seed=bootstrap_seed), with_strata(laws, best_score), transfer,
        no_costs, advice,
    )  # fmt: skip
