"""The critical batch size of a table that has, at each batch size, the steps or examples to a target."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.critical import Basis, Critical, Series
from batchlaw.results.plain import number
from batchlaw.stats.hyperbola import FEWEST, fit_hyperbola
from batchlaw.stats.surface import Floats

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.tables.reading import ReadTable

OVERHEAD, OVERHEAD_FROM = 0.2, 256.0  # arXiv:2410.21676
_ANY_RATE = "1"  # as an expression: of a table that tells none
_MOST_GROUPS = 24
# Columns that say where, when and by whom a run was made, which is no other task.
_CIRCUMSTANCES = frozenset({
    "creator", "when", "date", "time", "timestamp", "platform", "hardware", "host", "submitter", "name", "notes",
    "path", "comment", "run", "id", "number", "precision",
})  # fmt: skip


def critical(
    data: "pd.DataFrame | str | Path | Sequence[str | Path]",
    *,
    steps: str | None = None,
    examples: str | None = None,
    overhead: float = OVERHEAD,
    overhead_from: float | None = None,
    alpha: float = 0.05,
    **columns: Any,
) -> Critical:
    """The critical batch size of runs that were trained to a target: a row a run, with its batch size.

    Where several learning rates or other settings were run at a batch size, the one with the fewest steps counts. With
    one rate at each batch size the result is labelled as resting on chosen rates. A run that did not reach the target
    has no steps: its cell is empty or says so.

    Args:
        data: a DataFrame, or the path of a file, as for `batchlaw.law`.
        steps: the column of the steps to the target; None: by its name.
        examples: in its place, the column of the examples, tokens or epochs.
        overhead: the share of the second definition, of steps above perfect scaling.
        overhead_from: the batch size from which perfect scaling is counted; None: 256, as in arXiv:2410.21676, if it
            lies among those tried, else the smallest.
        alpha: one less the confidence of every interval.
        columns: further arguments of `batchlaw.law`: `lr`, `batch_size`, `seed`, `where`, `by` and others. Of `by` each
            level has a hyperbola of its own; None takes the columns whose levels each have three batch sizes.

    Raises:
        DataError: the file cannot be read, has no such column, or no group has three batch sizes.
        BatchlawError: an argument has a value that cannot be used.

    >>> import pandas as pd
    >>> sizes = [64, 128, 256, 512, 1024, 2048, 4096]
    >>> runs = pd.DataFrame({"batch_size": sizes, "steps": [1000 * (1 + 500 / size) for size in sizes]})
    >>> round(critical(runs).series[0].critical_batch_size.value)
    500
    """
    from batchlaw.tables.columns import check_statistics

    check_statistics(alpha, 0)
    for argument, value in {"overhead": overhead, "overhead_from": overhead_from}.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf):
            raise BatchlawError("must be a number above 0", argument=argument, got=value)
    runs, cost, counts_steps, has_rate = _read(data, steps, examples, columns)
    groups = list(runs.columns.by) or _groups(runs, cost)
    settings = _settings(runs, cost, groups)
    parts = runs.table.groupby(groups, sort=False) if groups else [((), runs.table)]
    series = []
    for key, part in parts:
        group = dict(zip(groups, key, strict=True))
        found = _series(group, part, runs, cost, settings, counts_steps=counts_steps, has_rate=has_rate)
        if found is not None:
            start = perfect_from(found.batch_size) if overhead_from is None else float(overhead_from)
            found = replace(found, overhead=(float(overhead), start))
            series.append(fitted(found, alpha))
    read = runs.columns.recognised
    if not has_rate:
        read = read.removeprefix(f"learning rate is {_ANY_RATE}, ")
    if not any(each.fitted for each in series):
        few = f"{runs.title} has no group of runs that reach a target at {FEWEST} batch sizes or more"
        raise DataError(f"{few}; read: {read}")
    notes = list(runs.notes)
    if groups:
        notes.append(f"a hyperbola for each {' and '.join(groups)}")
    return Critical(runs.title, tuple(series), alpha, tuple(notes), read)


def fitted(series: Series, alpha: float) -> Series:
    """With the hyperbola through its points."""
    told = np.isfinite(series.error)
    # Where some batch sizes have one run, the others tell the noise.
    variance = np.where(told, series.error**2, np.median(series.error[told] ** 2)) if told.any() else None
    hyperbola = fit_hyperbola(
        series.batch_size, series.steps, series.reached, variance, series.degrees_of_freedom, alpha=alpha
    )
    return replace(series, fitted=hyperbola)


def perfect_from(sizes: Floats) -> float:
    """The batch size from which perfect scaling is counted: 256 if it lies among those tried, else the smallest."""
    return OVERHEAD_FROM if sizes.min() <= OVERHEAD_FROM <= sizes.max() else float(sizes.min())


def _read(
    data: Any, steps: str | None, examples: str | None, columns: dict[str, Any]
) -> "tuple[ReadTable, str, bool, bool]":
    """The table, its column of what a target took, whether that counts steps, and whether rates are told."""
    from batchlaw.tables import names
    from batchlaw.tables.columns import Columns
    from batchlaw.tables.opening import open_table
    from batchlaw.tables.reading import read_runs

    if steps is not None and examples is not None:
        raise BatchlawError("goes without steps: both tell what a target took", argument="examples", got=examples)
    asked = Columns.of(**{name: value for name, value in columns.items() if name not in ("score", "direction")})
    opened = open_table(data, asked)
    headers = [str(name) for name in opened.table.columns]
    cost = steps or examples
    if cost is None:
        ranked = sorted((rank, name) for name in headers if (rank := names.cost_rank(name)) is not None)
        if not ranked:
            raise DataError(
                f"{opened.title} has no column of steps or examples to a target; it has {', '.join(headers[:8])}",
                argument="steps",
            )
        cost = ranked[0][1]
    has_rate = asked.lr is not None or any(names.rate_rank(name) is not None for name in headers)
    asked = replace(asked, score=(cost,), maximize=False, lr=asked.lr if has_rate else _ANY_RATE)
    runs = read_runs(opened.table, asked)
    runs = replace(runs, title=opened.title, notes=(*opened.notes, *runs.notes))
    counts_steps = examples is None and (steps is not None or names.counts_steps(cost))
    return runs, cost, counts_steps, has_rate


def _groups(runs: "ReadTable", cost: str) -> list[str]:
    """Columns that are no settings of one task: each of their levels has its own series of batch sizes."""
    from batchlaw.tables import names

    size, found = runs.columns.batch_size, []
    for name in _others(runs, cost):
        told = runs.table[name].astype(str)
        words = set(names.words_of(name))
        if words & _CIRCUMSTANCES or names.is_cost(name) or (names.metric_of(name) and not names.is_target(name)):
            continue
        sizes = runs.table.groupby(told)[size].nunique()
        if 2 <= len(sizes) <= _MOST_GROUPS and sizes.min() >= FEWEST and not names.is_input(name):
            found.append(name)
    return found


def _settings(runs: "ReadTable", cost: str, groups: list[str]) -> list[str]:
    """Columns in which runs of one batch size differ, and which are no number of a run: the rate and others."""
    from batchlaw.tables import names

    keys = [*groups, runs.columns.batch_size]
    found = []
    for name in _others(runs, cost):
        if name in groups or names.metric_of(name) or names.is_cost(name) or "run" in names.words_of(name):
            continue
        several = runs.table.assign(told=runs.table[name].astype(str)).groupby(keys)["told"].agg(["nunique", "size"])
        if (several["nunique"] > 1).any() and (several["nunique"] < several["size"]).any():
            found.append(name)
    return [runs.columns.lr, *found]


def _others(runs: "ReadTable", cost: str) -> list[str]:
    named = {cost, runs.columns.batch_size, runs.columns.lr, runs.columns.seed, runs.columns.error}
    return [str(name) for name in runs.table.columns if name not in named]


def _series(
    group: dict[str, Any], part: "pd.DataFrame", runs: "ReadTable", cost: str, settings: list[str], *,
    counts_steps: bool, has_rate: bool,
) -> Series | None:  # fmt: skip
    rows, edges, several, unreached = [], dict[str, list[float]](), 0, 0
    for size, at_size in part.groupby(runs.columns.batch_size, sort=True):
        options = []
        for _, cell in at_size.groupby(settings, sort=True, dropna=False):
            values = cell[cost].to_numpy(float)
            if not (np.isfinite(values) & (values > 0)).all():  # a seed of it never arrives
                unreached += 1
                continue
            options.append((*geometric_mean(values), len(values), float(cell[runs.columns.lr].iloc[0])))
        rates = np.unique(at_size[runs.columns.lr])
        several += len(rates) > 1
        if not options:
            continue
        best = min(options)
        if len(rates) > 1 and best[3] in (rates[0], rates[-1]):
            edges.setdefault("lowest" if best[3] == rates[0] else "highest", []).append(float(size))
        rows.append((float(size), *best))
    if not rows:
        return None
    sizes, amounts, errors, counts, rates = np.array(rows).T
    basis: Basis = "rates not told" if not has_rate else "tuned rates" if several > len(rows) / 2 else "chosen rates"
    notes = []
    if has_rate and 0 < several < len(rows):
        notes.append(f"several rates were tried at {several} of {len(rows)} batch sizes")
    for where, at in edges.items():
        told = ", ".join(number(size) for size in at)
        notes.append(f"the {where} rate tried takes the fewest steps at batch size {told}: another may take fewer")
    if unreached:
        notes.append(f"settings with a run that does not reach the target are left out: {unreached}")
    return Series(
        group=group, batch_size=sizes, steps=amounts if counts_steps else amounts / sizes,
        examples=amounts * sizes if counts_steps else amounts, error=errors,
        lr=rates if has_rate else np.full(len(rows), np.nan), reached=np.ones(len(rows), dtype=bool), basis=basis,
        unit=None if counts_steps else cost, fitted=None, overhead=(OVERHEAD, OVERHEAD_FROM),
        degrees_of_freedom=int((counts - 1).sum()), notes=tuple(notes),
    )  # fmt: skip


def geometric_mean(values: Floats) -> tuple[float, float]:
    """The geometric mean, and the standard error of its natural logarithm, NaN of one value."""
    logs = np.log(values)
    return float(np.exp(logs.mean())), float(logs.std(ddof=1) / len(logs) ** 0.5) if len(logs) > 1 else np.nan
