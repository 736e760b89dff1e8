"""Rows of epochs or steps of one run, of which one counts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.stats.surface import Floats
from batchlaw.tables import names
from batchlaw.tables.columns import KnownColumns
from batchlaw.tables.spelling import by_distinct, number, typed
from batchlaw.tables.words import STEPS

Indices = NDArray[np.intp]

_RUNS = (
    "trial_id", "run_id", "runid", "run id", "experiment_id", "run_name", "run name", "name", "id", "trial", "run",
    "trial_name", "experiment", "logdir", "path", "job_id", "uid", "uuid",
)  # fmt: skip
_FEWEST = 3  # rows of a run without a name, so that an epoch is none of two settings


@dataclass(frozen=True, eq=False)
class RowsOfRuns:
    """The places of the rows that count, (n_runs,), their learning rates, and what was done."""

    rows: Indices
    lr: Floats
    notes: list[str]


def one_row_a_run(table: pd.DataFrame, columns: KnownColumns, scores: dict[str, Floats]) -> RowsOfRuns:
    """The rows that count: the last of each run that has a score, or its best.

    A learning rate that changes within a run, as where each epoch tells its own, is that of the peak.

    Runs that ended before others of their batch size, as those that Ray Tune or Syne Tune stopped, are left out unless
    their last score is not finite.

    Args:
        table: the rows.
        columns: what they mean.
        scores: by column, (n_rows,).

    Returns:
        All rows where a row is a run already.
    """
    rates = table[columns.lr].to_numpy(float)
    everything = RowsOfRuns(np.arange(len(table)), rates, [])
    step = _step_of(table, columns)
    if step is None:
        return everything
    at = np.asarray(by_distinct(table[step], number, np.nan), dtype=float)
    values = np.array(list(scores.values()))  # (n_scores, n_rows)
    has_score = ~np.isnan(values).all(axis=0)
    run, named = _runs_of(table, columns, step, has_score)
    n_runs = int(run.max()) + 1
    several = n_runs < len(table)
    distinct = len(np.unique([run, at], axis=1).T)
    if several and not named and (len(table) < _FEWEST * n_runs or distinct < len(table)):
        return everything
    any_score = np.bincount(run, has_score, n_runs) > 0
    usable = np.flatnonzero(has_score | ~any_score[run])
    if columns.epochs == "best" and several:
        signed = np.where(np.isfinite(values), values if columns.maximize else -values, -np.inf).max(axis=0)
        order = np.lexsort((at[usable], signed[usable], run[usable]))
    else:
        order = np.lexsort((at[usable], run[usable]))
    ordered = usable[order]
    chosen = ordered[np.append(run[ordered][1:] != run[ordered][:-1], True)]
    notes = []
    if several:
        which = "last" if columns.epochs == "last" else "best"
        notes.append(f"{len(table)} rows are those of {n_runs} runs; of each the {which} {step} with a score counts")
    ends = np.full(n_runs, -np.inf)
    np.maximum.at(ends, run, np.nan_to_num(at, nan=-np.inf))
    size = np.unique(typed(table[columns.batch_size]), return_inverse=True)[1] if columns.batch_size in table else None
    stopped = step == "training_iteration" or any(str(name).startswith("st_") for name in table.columns)
    if size is not None and stopped:
        longest = np.full(int(size.max()) + 1, -np.inf)
        np.maximum.at(longest, size, ends[run])
        early = (ends[run[chosen]] < longest[size[chosen]]) & np.isfinite(values[:, chosen]).any(axis=0)
        if 0 < early.sum() < len(chosen):
            n = int(early.sum())
            which = "1 run is" if n == 1 else f"{n} runs are"
            notes.append(f"{which} left out: others of the same batch size went on to a later {step}")
            chosen = chosen[~early]
    chosen = np.sort(chosen)
    peaks = np.zeros(n_runs)
    np.maximum.at(peaks, run, rates)
    if n := int((peaks[run[chosen]] > rates[chosen]).sum()):
        notes.append(f"{columns.lr} changes within {n} run{'s' if n > 1 else ''}: the largest of each counts, the peak")
    return RowsOfRuns(chosen, peaks[run[chosen]], notes)


def _step_of(table: pd.DataFrame, columns: KnownColumns) -> str | None:
    """The column that counts epochs or steps, with more than one value."""
    taken = {name for several in columns.named.values() for name in several}
    used = {
        str(name).lower(): str(name)
        for name in table.columns
        if str(name) not in taken and not names.is_input(str(name))
    }
    for step in STEPS:
        name = used.get(step)
        if name is None or isinstance(table[name], pd.DataFrame):
            continue
        values = by_distinct(table[name], number, np.nan)
        if not any(value is None for value in values) and len(np.unique(values.astype(float))) > 1:
            return name
    return None


def _runs_of(
    table: pd.DataFrame, columns: KnownColumns, step: str, has_score: NDArray[np.bool_]
) -> tuple[Indices, bool]:
    """The number of each row's run, and whether a column names the runs; else rows of one setting are a run.

    Rows without a score, such as those of training between two evaluations, may have the step of another.
    """
    counted = has_score if has_score.any() else np.ones(len(table), dtype=bool)
    used = {str(name).lower(): str(name) for name in table.columns}
    for name in _RUNS:
        if name in used and not isinstance(table[used[name]], pd.DataFrame):
            codes = pd.factorize(table[used[name]])[0]
            pairs = pd.DataFrame({"run": codes, "step": table[step].to_numpy()})[counted].drop_duplicates()
            if len(pairs) >= 0.99 * counted.sum() and len(np.unique(codes)) > 1:
                return np.asarray(codes), True
    keys = [name for argument in ("lr", "batch_size", "seed", "by", "average") for name in columns.named[argument]]
    keys += [str(name) for name in table.columns if names.is_input(str(name)) and str(name) not in keys]
    keys = [name for name in dict.fromkeys(keys) if name in table.columns]
    codes = table.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    return np.asarray(codes), False
