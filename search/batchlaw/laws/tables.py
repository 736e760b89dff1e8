"""Laws and transfers of a table of runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.fitted import law_of_stratum, transfer_of_single_runs
from batchlaw.laws.law import Law, bending, with_strata
from batchlaw.laws.transfer import Transfer, at_comparable, joined, transfer_of
from batchlaw.spec.families import FAMILIES
from batchlaw.stats.curves import Curve
from batchlaw.stats.law import law_of
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Surface

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.claims.over import Moves
    from batchlaw.claims.parted import PartedTable

_FEWEST_SEEDS = 3  # one is scored, and those left have a deviation


def law(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    *,
    score: str | Sequence[str] | None = None,
    lr: str | None = None,
    batch_size: str | None = None,
    direction: str | None = None,
    seed: str | None = None,
    error: str | None = None,
    seeds: str | int | None = None,
    tokens_per_example: str | float | None = None,
    by: str | Sequence[str] | None = None,
    over: str | Sequence[str] | None = None,
    average: str | Sequence[str] | None = None,
    where: str | None = None,
    missing: Literal["missing", "diverged"] = "missing",
    diverged_above: float | None = None,
    diverged_below: float | None = None,
    diverged_where: str | None = None,
    epochs: Literal["last", "best"] = "last",
    format: str | None = None,
    storage: str | None = None,
    table: int | str | Sequence[int] | None = None,
    optimizer: str = "sgd",
    alpha: float = 0.05,
    bootstrap_seed: int = 0,
) -> Law:
    """How the best learning rate moves with the batch size, from a table of runs.

    A grid with several seeds is judged by their deviation. Single runs, on a grid with holes or anywhere, are judged by
    a smooth surface through them, and the grade is "fitted". Fewer runs have no law and are "observed". Where other
    columns part them, such as the number of parameters, large parts have laws of their own, in `strata`, and small ones
    levels of their own.

    Args:
        data: a DataFrame; the path of a file in any of the formats of `batchlaw.tables`, or of several; "-" for
            standard input; a folder of files or of TensorBoard runs; "optuna:STUDY" or "mlflow:EXPERIMENT". It has a
            row a run, a row a cell with a score column a seed, or is a matrix of scores.
        score: the column of the score, or several, a seed each (a list, or "a,b"). What counts as missing and what as
            diverged, and how columns that are None are recognised, is said at `batchlaw.claim`.
        lr: the column of the learning rate, or an expression over columns.
        batch_size: the column of the batch size, in examples, or an expression.
        direction: "maximize" or "minimize" the score.
        seed: the column that names the seed of a row. Without one repeated rows are independent runs.
        error: the column of the standard error of the score, where a score is a mean.
        seeds: how many seeds a score is the mean of: a number, or the column that says so.
        tokens_per_example: a number or a column; batch sizes are then told in tokens.
        by: a column, or several, such as the optimizer; each of their levels has its own law, in `strata`.
        over: a column, or several, such as the tokens and the parameters: as `by`, and `moves` tells how the best rate
            and the best batch size move with each, the others held fixed.
        average: a column, or several, over whose levels a score is averaged, such as the weight decay. Rows of one cell
            and seed may differ in no other hyperparameter.
        where: an expression for the rows to keep, as for `batchlaw.claim`.
        missing: "diverged" takes missing scores as those of runs that diverged, as for `batchlaw.claim`.
        diverged_above: runs with a score above this number diverged; of a score to minimize.
        diverged_below: runs with a score below this number diverged; of a score to maximize.
        diverged_where: an expression for the rows of runs that diverged.
        epochs: of several rows of one run the "last" or the "best" counts, as for `batchlaw.claim`.
        format: of the file; None: told by its content.
        storage: of a store: the database of "optuna:STUDY", the tracking URI of "mlflow:EXPERIMENT".
        table: the number of the table in a page or workbook, from 1, or several.
        optimizer: of the runs, where no column of `by` is called so. It decides which curve with a critical batch size
            is tried beside a straight line.
        alpha: one less the confidence of every interval.
        bootstrap_seed: of the draws of optima from their sets, 0 or more; the same seed gives the same result.

    Raises:
        DataError: the file cannot be read, or a column is missing.
        BatchlawError: an argument has a value that cannot be used.

    >>> import numpy as np, pandas as pd
    >>> cells = [(2.0**i, 2.0**j, s) for i in range(-10, 0) for j in range(2, 10) for s in range(5)]
    >>> runs = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    >>> off = np.log2(runs.lr) - 0.5 * np.log2(runs.batch_size) + 8  # the best learning rate is √batch size / 256
    >>> runs["loss"] = 1 + 0.1 * off**2 + 0.01 * np.random.default_rng(0).normal(size=len(runs))
    >>> found = law(runs, score="loss", direction="minimize", seed="seed")
    >>> round(found.exponent, 1), found.grade
    (0.5, 'replicated')
    >>> predicted = found.predict(batch_size=100)
    >>> predicted.low < 10 / 256 < predicted.high
    True
    """
    parted = parted_for(
        data, optimizer, alpha, bootstrap_seed, lr=lr, batch_size=batch_size, score=score, direction=direction,
        seed=seed, error=error, seeds=seeds, tokens_per_example=tokens_per_example, by=by, over=over, average=average,
        where=where, missing=missing, diverged_above=diverged_above, diverged_below=diverged_below,
        diverged_where=diverged_where, epochs=epochs, format=format, storage=storage, table=table,
    )  # fmt: skip
    found = with_strata(laws_of_table(parted, optimizer, bootstrap_seed), best_score)
    return replace(found, moves=_moves(parted))


def transfer(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    *,
    score: str | Sequence[str] | None = None,
    lr: str | None = None,
    batch_size: str | None = None,
    direction: str | None = None,
    seed: str | None = None,
    error: str | None = None,
    seeds: str | int | None = None,
    tokens_per_example: str | float | None = None,
    by: str | Sequence[str] | None = None,
    over: str | Sequence[str] | None = None,
    average: str | Sequence[str] | None = None,
    where: str | None = None,
    missing: Literal["missing", "diverged"] = "missing",
    diverged_above: float | None = None,
    diverged_below: float | None = None,
    diverged_where: str | None = None,
    epochs: Literal["last", "best"] = "last",
    format: str | None = None,
    storage: str | None = None,
    table: int | str | Sequence[int] | None = None,
    optimizer: str = "sgd",
    alpha: float = 0.05,
    bootstrap_seed: int = 0,
    reference_batch_size: float | None = None,
) -> Transfer:
    """What each scaling rule costs where a tuned learning rate is moved to other batch sizes, from a table of runs.

    The cost is what the score at the rate that the rule gives is worse than the score at the rate tuned there. Both are
    scored on other seeds than those tuned on, of which there must be three or more, each in every cell; of single runs
    they are scored on a smooth surface through them.

    Args:
        data: a DataFrame, or the path of a file, as for `law`.
        score: the column of the score, or several, a seed each.
        lr: the column of the learning rate, or an expression over columns.
        batch_size: the column of the batch size, in examples, or an expression.
        direction: "maximize" or "minimize" the score.
        seed: the column that names the seed of a row; needed where a cell has several rows.
        error: the column of the standard error of the score, where a score is a mean.
        seeds: how many seeds a score is the mean of: a number, or the column that says so.
        tokens_per_example: a number or a column; batch sizes are then told in tokens.
        by: a column, or several; each of their levels has its own costs, in `strata`.
        over: likewise, as for `law`.
        average: a column, or several, over whose levels a score is averaged, such as the weight decay. Rows of one cell
            and seed may differ in no other hyperparameter.
        where: an expression for the rows to keep, as for `batchlaw.claim`.
        missing: "diverged" takes missing scores as those of runs that diverged, as for `batchlaw.claim`.
        diverged_above: runs with a score above this number diverged; of a score to minimize.
        diverged_below: runs with a score below this number diverged; of a score to maximize.
        diverged_where: an expression for the rows of runs that diverged.
        epochs: of several rows of one run the "last" or the "best" counts, as for `batchlaw.claim`.
        format: of the file; None: told by its content.
        storage: of a store: the database of "optuna:STUDY", the tracking URI of "mlflow:EXPERIMENT".
        table: the number of the table in a page or workbook, from 1, or several.
        optimizer: of the runs, as for `law`.
        alpha: one less the confidence of every interval.
        bootstrap_seed: of the draws of optima from their sets, 0 or more.
        reference_batch_size: the batch size whose tuned learning rate is moved; None takes the middle one.

    Raises:
        DataError: as `law`; or no cost can be told of the runs.
        BatchlawError: an argument has a value that cannot be used.

    >>> import numpy as np, pandas as pd
    >>> cells = [(2.0**i, 2.0**j, s) for i in range(-10, 0) for j in range(2, 10) for s in range(5)]
    >>> runs = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    >>> off = np.log2(runs.lr) - 0.5 * np.log2(runs.batch_size) + 8  # the best learning rate is √batch size / 256
    >>> runs["loss"] = 1 + 0.1 * off**2 + 0.01 * np.random.default_rng(0).normal(size=len(runs))
    >>> found = transfer(runs, score="loss", direction="minimize", seed="seed", reference_batch_size=32)
    >>> costs = found.costs.groupby("rule")["cost"].mean()
    >>> bool(costs["sqrt"] < costs["constant"] / 10), bool(costs["sqrt"] < costs["linear"] / 10)
    (True, True)
    """
    parted = parted_for(
        data, optimizer, alpha, bootstrap_seed, lr=lr, batch_size=batch_size, score=score, direction=direction,
        seed=seed, error=error, seeds=seeds, tokens_per_example=tokens_per_example, by=by, over=over, average=average,
        where=where, missing=missing, diverged_above=diverged_above, diverged_below=diverged_below,
        diverged_where=diverged_where, epochs=epochs, format=format, storage=storage, table=table,
    )  # fmt: skip
    laws = laws_of_table(parted, optimizer, bootstrap_seed)
    return transfer_of_laws(laws_for_costs(parted, laws), reference_batch_size)


def _moves(parted: "PartedTable") -> "Moves | None":
    """How optima move with other factors; None where none is asked, or too few groups have optima."""
    from batchlaw.claims.over import moves_over

    over = parted.runs.columns.over
    with suppress(DataError):
        return moves_over(parted.runs, over, parted.alpha)[0] if over else None
    return None


def transfer_of_laws(laws: Sequence[Law], reference_batch_size: float | None) -> Transfer:
    """The costs in each stratum by its law, which was made for costs.

    Raises:
        DataError: of none a cost can be told.
    """
    parts, lacks = [], []
    for found in laws:
        try:
            part = _transfer(found, reference_batch_size)
        except DataError as error:
            lacks.append(str(error))
            continue
        if part is not None:
            parts.append(part)
    if not parts:
        why = [*lacks, *(found.lack for found in laws if found.lack), "rates were tried at fewer than two batch sizes"]
        raise DataError(f"no cost can be told: {why[0]}; `batchlaw claim` tells what the runs show")
    return joined(parts, lambda part: best_score(part.law))


def _transfer(law: Law, reference: float | None) -> Transfer | None:
    """The costs by the scores of the seeds, or by a surface through the runs where too few seeds are the same."""
    surface = law.surface
    if surface is None or not are_comparable(surface):
        return transfer_of_single_runs(law, reference)
    law = at_comparable(law)
    assert law.surface is not None
    given = law.surface.given
    return transfer_of(law, reference, nearest=float(given[len(given) // 2]))


def parted_for(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    optimizer: str,
    alpha: float,
    bootstrap_seed: int,
    **columns: Any,
) -> "PartedTable":
    """The table, parted, of arguments that were checked."""
    from batchlaw.claims.parted import PartedTable
    from batchlaw.tables.columns import check_statistics

    if optimizer not in FAMILIES:
        raise BatchlawError(f"must be one of {', '.join(FAMILIES)}", argument="optimizer", got=optimizer)
    check_statistics(alpha, bootstrap_seed)
    return PartedTable.read(data, alpha, **columns)


def laws_of_table(parted: "PartedTable", optimizer: str, bootstrap_seed: int) -> list[Law]:
    """The law of each stratum."""
    runs, alpha = parted.runs, parted.alpha

    def curve_of(group: dict[str, Any]) -> Curve:
        family = str(group.get("optimizer", optimizer))
        return bending(family if family in FAMILIES else optimizer)

    laws = []
    for stratum in parted.strata:
        curve = curve_of(stratum.levels)
        if stratum.surface is None:
            law = law_of_stratum(stratum, runs.title, curve, alpha)
        else:
            # The same draws as for the slope of ε_opt(B) in `claim`.
            _, generator = np.random.default_rng(bootstrap_seed).spawn(2)
            surface = stratum.surface.transposed()
            found = ridge(surface, generator, alpha=alpha)
            lack = found.lack_of_law
            law = Law(
                title=runs.title, stratum=stratum.levels, grade="replicated", lack=lack, alpha=alpha, ridge=found,
                surface=surface, fitted=None if lack else law_of(found, curve, alpha=alpha),
                observed=stratum.observed if lack else None,
            )  # fmt: skip
        laws.append(replace(law, notes=parted.notes, read=runs.columns.recognised))
    return laws


def laws_for_costs(parted: "PartedTable", laws: Sequence[Law]) -> list[Law]:
    """The laws of `laws_of_table`, with a smooth surface where seeds are too few to be compared."""
    from batchlaw.claims.strata import smoothed

    found = []
    for stratum, law in zip(parted.strata, laws, strict=True):
        if law.surface is None and law.smooth is None and (smooth := smoothed(stratum, parted.alpha)) is not None:
            law = replace(law, smooth=smooth, grade="fitted")
        elif law.surface is not None and not are_comparable(law.surface):
            law = replace(law, smooth=smoothed(stratum, parted.alpha), grade="fitted")
        found.append(law)
    return found


def are_comparable(surface: Surface) -> bool:
    """Whether the seeds of a surface are the same in all cells, and enough that some tune and others are scored."""
    return surface.paired and surface.n_replicates >= _FEWEST_SEEDS


def best_score(law: Law) -> float:
    """By which groups are compared, higher is better."""
    if law.surface is not None:
        return float(np.nanmax(law.surface.means))
    return law.smooth.best if law.smooth is not None else -np.inf
