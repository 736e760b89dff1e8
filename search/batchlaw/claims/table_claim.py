"""A claim judged on a table of runs made elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchlaw.claims.claim import Claim, claim_of
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:  # pandas and SciPy, which `import batchlaw` does without
    import pandas as pd

    from batchlaw.claims.designed import Block
    from batchlaw.claims.parted import PartedTable
    from batchlaw.claims.strata import Stratum
    from batchlaw.claims.verdict import Finding

_OVER = ("H10", "H26")  # how optima move with other columns


def claim(
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
    alpha: float = 0.05,
    hypothesis: str | None = None,
    bootstrap_seed: int = 0,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Claim:
    """Judge a claim on a table of runs, at the best grade that its evidence allows.

    A grid of learning rates and batch sizes with several seeds each is "replicated". Single runs, on a grid with holes
    or anywhere, are "fitted": a smooth surface stands for the replicates, and where it may decide nothing its numbers
    are a guide. Fewer runs are "observed": they are described, with the few runs that would tell most. Runs of one cell
    that differ in another hyperparameter are no replicates; each of its levels is judged by itself.

    A score is missing where a cell of a file is empty or says NA, N/A, null or none, and where a DataFrame has NaN. A
    run diverged where a file says NaN or infinity, in any spelling, and where a DataFrame has infinity. A number of
    3.4e38 or more, which some tools write in place of infinity, counts as infinity. A missing score tells nothing; a
    run that diverged is as bad as the worst that did not. Rows of runs that were pruned or have not ended are left out,
    where a column `state` or `status` tells.

    Args:
        data: a DataFrame; the path of a file in any of the formats of `batchlaw.tables`, or of several; "-" for
            standard input; a folder of files or of TensorBoard runs; "optuna:STUDY" or "mlflow:EXPERIMENT". It has a
            row a run, a row a cell with a score column a seed, or is a matrix of scores.
        score: the column of the score, or several, a seed each (a list, or "a,b"); None: recognised by its name.
        lr: the column of the learning rate, or an expression over columns, such as "base_lr * sqrt(batch_size / 128)";
            None: recognised. Rates that agree to 2 % are one level.
        batch_size: the column of the batch size, in examples, or an expression; None: recognised.
        direction: "maximize" or "minimize" the score; None: told by the name of the score.
        seed: the column that names the seed of a row; None: a column that is called so. Without one repeated rows are
            independent runs.
        error: the column of the standard error of the score, where a score is a mean.
        seeds: how many seeds a score is the mean of: a number, or the column that says so.
        tokens_per_example: a number or a column; batch sizes are then told in tokens.
        by: a column, or several; each of their levels is judged by itself, and the slopes are pooled.
        over: a column, or several, such as the tokens and the parameters: how the best batch size moves with each, the
            others held fixed (H10), by a law over the groups, or whether the slope of the best rate on the batch size
            rises with it (H26); for another hypothesis each level is judged by itself.
        average: a column, or several, over whose levels a score is averaged, such as the weight decay. Rows of one cell
            and seed may differ in no other hyperparameter.
        where: an expression for the rows to keep, such as "depth == 2 and alpha < 1e-3". A name with blanks or slashes
            stands in backticks, text in single quotes; see `batchlaw.expressions`.
        missing: "diverged" takes the missing scores of rows as those of runs that diverged.
        diverged_above: runs with a score above this number diverged; of a score to minimize.
        diverged_below: runs with a score below this number diverged; of a score to maximize.
        diverged_where: an expression for the rows of runs that diverged, such as "grad_norm > 1e4".
        epochs: of several rows of one run, a row an epoch, the "last" counts, or the "best".
        format: of the file, such as "csv" or "wandb"; None: told by its content.
        storage: of a store: the database of "optuna:STUDY", the tracking URI of "mlflow:EXPERIMENT".
        table: the number of the table in a page or workbook, from 1, or several.
        alpha: one less the confidence of every interval, and the level of every test.
        hypothesis: the one to judge; None: H10 with `over`, else H9; `batchlaw claim --list` shows them.
        bootstrap_seed: 0 or more; it changes nothing here, since no hypothesis on a table is judged by bootstraps.
        track: wraps the list of groups, to show progress, as `tqdm.tqdm` does.

    Raises:
        DataError: the file cannot be read, or has no column of rates, batch sizes or scores, or no score is a number.
        BatchlawError: an argument has a value that cannot be used.

    >>> import numpy as np, pandas as pd
    >>> cells = [(2.0**i, 2.0**j, s) for i in range(-8, 0) for j in range(2, 10) for s in range(5)]
    >>> runs = pd.DataFrame(cells, columns=["lr", "batch_size", "seed"])
    >>> far = np.log2(runs.batch_size) - np.log2(runs.lr) - 10  # the best batch size is 1024 × lr
    >>> runs["loss"] = 1 + 0.1 * far**2 + 0.01 * np.random.default_rng(0).normal(size=len(runs))
    >>> found = claim(runs, score="loss", direction="minimize", seed="seed")
    >>> found.verdict, round(found.slope, 1)
    ('supported', 1.0)
    """
    from batchlaw.claims.hypotheses import OF_A_TABLE, hypothesis_named
    from batchlaw.claims.parted import PartedTable
    from batchlaw.tables.columns import check_statistics

    name = hypothesis_named(hypothesis or ("H10" if over else "H9")).name
    judged = (*OF_A_TABLE, *(_OVER if over else ()))
    if name not in judged:
        more = "" if over or name not in _OVER else f"; {name} needs columns to judge it over"
        raise BatchlawError(
            f"a table can be judged on {', '.join(judged)}{more}", argument="hypothesis", got=hypothesis
        )
    check_statistics(alpha, bootstrap_seed)
    asked: dict[str, Any] = {
        "lr": lr, "batch_size": batch_size, "score": score, "seed": seed, "error": error, "seeds": seeds,
        "tokens_per_example": tokens_per_example, "by": by, "over": over, "average": average, "direction": direction,
        "where": where, "missing": missing, "diverged_above": diverged_above, "diverged_below": diverged_below,
        "diverged_where": diverged_where, "epochs": epochs, "format": format, "storage": storage, "table": table,
    }  # fmt: skip
    if name in _OVER:
        return _claim_over(data, alpha, asked, name)
    return claim_of_table(PartedTable.read(data, alpha, **asked), [name], bootstrap_seed=bootstrap_seed, track=track)


def _claim_over(data: Any, alpha: float, asked: dict[str, Any], hypothesis: str) -> Claim:
    """H10 or H26 on each of the columns that it is asked over."""
    from batchlaw.claims.over import moves_over
    from batchlaw.tables.columns import Columns
    from batchlaw.tables.reading import read_runs

    runs = read_runs(data, Columns.of(**asked))
    moves, notes = moves_over(runs, runs.columns.over, alpha)
    findings = moves.findings() if hypothesis == "H10" else moves.rises()
    blocks: list[Block] = [[({"over": name}, [finding])] for name, finding in zip(moves.names, findings, strict=True)]
    return claim_of(
        blocks, hypothesis, "fitted", title=runs.title, question="", score="score",
        direction="maximize" if runs.columns.maximize else "minimize", read=runs.columns.recognised,
        notes=(*runs.notes, *notes, *moves.lines()),
    )  # fmt: skip


def claim_of_table(
    parted: "PartedTable",
    names: Sequence[str],
    *,
    bootstrap_seed: int = 0,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Claim:
    """Judge hypotheses on a table that was read, the first of which is that of the claim.

    Args:
        parted: the table.
        names: of the hypotheses, each of `hypotheses.OF_A_TABLE`.
        bootstrap_seed: as for `claim`.
        track: likewise.
    """
    strata, columns = parted.strata, parted.runs.columns
    block = [
        (stratum.levels, _findings(stratum, list(names), parted.alpha, bootstrap_seed)) for stratum in track(strata)
    ]
    undecided = [findings[0].verdict == "inconclusive" for _, findings in block]
    return claim_of(
        [block], names[0], "observed", title=parted.runs.title, question="", score="score",
        direction="maximize" if columns.maximize else "minimize", read=columns.recognised,
        notes=(*parted.notes, *parted.weaker),
        descriptions=tuple(
            (each.levels, each.observed)
            for each, open_ in zip(strata, undecided, strict=True)
            if open_ or each.grade != "replicated"
        ),
    )  # fmt: skip


def _findings(stratum: "Stratum", names: list[str], alpha: float, seed: int) -> "list[Finding]":
    """The findings on hypotheses, at the grade of the stratum."""
    from batchlaw.claims.evidence import gather
    from batchlaw.claims.verdict import judge
    from batchlaw.claims.weaker_evidence import fitted_findings, observed_findings

    if stratum.smooth is not None:
        return fitted_findings(stratum, names, alpha)
    if stratum.surface is None:
        return observed_findings(stratum, names)
    found = judge(gather(stratum.surface, seed=seed, alpha=alpha), names, alpha=alpha)
    found = [replace(finding, grade="replicated") for finding in found]
    if stratum.observed.unapplied:  # no sensible number of runs would show what is inconclusive
        found = [
            replace(finding, settle=stratum.observed.advice, advice=None)
            if finding.verdict == "inconclusive" else finding
            for finding in found
        ]  # fmt: skip
    return found
