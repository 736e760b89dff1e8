"""From runs at several horizons and sizes to a plan: what is asked for, the groups of runs, and their optima."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import BatchlawError, DataError
from batchlaw.laws.axes import Axis, centred
from batchlaw.laws.companions import known_of
from batchlaw.laws.plan import Plan
from batchlaw.spec.network_size import n_parameters
from batchlaw.stats.batch_forecast import batch_forecast
from batchlaw.stats.forecast import Group, forecast

if TYPE_CHECKING:
    import pandas as pd

_FEWEST_GROUPS = 3
_FAR = 2.0  # octaves beyond what was seen, or as far as what was seen reaches: further is refused (assumption)


def plan(
    data: "pd.DataFrame | str | Path | Sequence[Any]",
    *,
    at: Mapping[str, float],
    examples: str | None = None,
    tokens: str | None = None,
    parameters: str | None = None,
    extrapolate: bool = False,
    alpha: float = 0.05,
    **columns: Any,
) -> Plan:
    """The batch size and the learning rate of a run longer or larger than any that was tried.

    Args:
        data: a DataFrame or the path of a file, a row a run, as for `batchlaw.law`; or a list of studies, whose
            budgets differ, or of a built-in mlp, cnn or gpt the widths.
        at: the run asked for: "examples" or "tokens", and "parameters" where the runs differ in them.
        examples: the column of the examples that a run saw; of studies it is known.
        tokens: the column of the tokens, in place of examples.
        parameters: the column of the size of the model.
        extrapolate: plan further outside of what was seen than it reaches, or than four times.
        alpha: one less the confidence of every interval.
        columns: further arguments of `batchlaw.law`, such as `lr`, `batch_size`, `score`, `direction` and `where`. Of
            `by` each level is a group of its own.

    Raises:
        DataError: the file cannot be read, or fewer than three groups of runs have a best rate at some batch sizes.
        BatchlawError: an argument has a value that cannot be used, or the run lies too far outside.
    """
    from batchlaw.claims.over import groups_over
    from batchlaw.tables.columns import Columns, check_statistics
    from batchlaw.tables.reading import read_runs

    check_statistics(alpha, 0)
    given = {"examples": examples, "tokens": tokens, "parameters": parameters}
    if isinstance(data, Sequence) and not isinstance(data, str) and all(hasattr(each, "trials") for each in data):
        data, of_studies = _of_studies(data)
        given["examples"] = examples or "examples"
        given["parameters"] = parameters or ("parameters" if "parameters" in data else None)
        columns = of_studies | columns
    named = {axis: column for axis, column in given.items() if column is not None}
    wanted = _asked(at, named)
    asked = Columns.of(**columns)
    asked = replace(asked, by=(*named.values(), *asked.by))
    asked.check()
    runs = read_runs(data, asked)
    groups, notes = groups_over(runs, named)
    axes = tuple(Axis(name, np.array([values[name] for values, _ in groups])) for name in named)
    varying = tuple(axis for axis in axes if len(set(axis.values.tolist())) > 1)
    for axis in axes if groups else ():
        _check_reach(axis, wanted[axis.name], extrapolate=extrapolate)
    n = len({tuple(values.values()) for values, _ in groups})
    if n < _FEWEST_GROUPS:
        raise DataError(
            f"{n} group{'s' * (n != 1)} of runs with a best rate at some batch sizes; "
            f"a plan needs {_FEWEST_GROUPS} that differ in {' or '.join(named)}"
        )
    placed = [Group(centred([values[axis.name] for axis in varying], varying), optima) for values, optima in groups]
    sizes = np.concatenate([2**group.optima.batch_size for group in placed])
    of_size = varying[-1].name == "parameters"
    return Plan(
        title=runs.title, at=wanted, axes=varying, fitted=forecast(placed, of_size=of_size),
        of_batch_size=batch_forecast(placed, of_size=of_size), alpha=alpha, extrapolate=extrapolate,
        tried=(float(sizes.min()), float(sizes.max())),
        notes=(*runs.notes, *notes), read=runs.columns.recognised, known=known_of(runs),
        in_tokens=runs.columns.tokens_per_example is not None,
    )  # fmt: skip


def _asked(at: Mapping[str, float], named: Mapping[str, str]) -> dict[str, float]:
    """The run asked for.

    Raises:
        BatchlawError: it lacks an axis of the runs, or has one that they lack, or a value that is none.
    """
    if not named:
        raise BatchlawError("is needed, or examples or parameters: a column that tells groups apart", argument="tokens")
    if {"examples", "tokens"} <= named.keys():
        raise BatchlawError("goes without examples: both tell the horizon", argument="tokens", got=named["tokens"])
    for name, value in at.items():
        if name not in named:
            raise BatchlawError(f"{name} must be one of {', '.join(named)}, whose columns are named", argument="at")
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
            raise BatchlawError(f"{name} must be a number above 0", argument="at", got=value)
    for name in named:
        if name not in at:
            raise BatchlawError(f"lacks {name}, in which the runs differ, such as {name}=1e9", argument="at")
    return {name: float(at[name]) for name in named}


def _check_reach(axis: Axis, value: float, *, extrapolate: bool) -> None:
    low, high = np.log2(axis.seen)
    if low == high and not np.isclose(np.log2(value), low, atol=0.01):
        told = f"{axis.name}: all runs have {axis.seen[0]:g}, and nothing tells of others"
        raise BatchlawError(told, argument="at", got=value)
    far = max(_FAR, high - low)
    if not extrapolate and not low - far <= np.log2(value) <= high + far:
        raise BatchlawError(
            f"{axis.name} must be from {2 ** (low - far):.3g} to {2 ** (high + far):.3g}; {axis.seen[0]:.3g} to "
            f"{axis.seen[1]:.3g} were seen",
            argument="at", got=value, remedy="extrapolate",
        )  # fmt: skip


def _of_studies(studies: Sequence[Any]) -> tuple["pd.DataFrame", dict[str, Any]]:
    """The trials of several studies of one metric, a row each, and what their columns mean."""
    import pandas as pd

    metrics = {(study.spec.arm.metric, study.spec.direction) for study in studies}
    if len(metrics) > 1:
        told = ", ".join(sorted(metric for metric, _ in metrics))
        raise BatchlawError("must be studies of one metric and direction", argument="data", got=told)
    ((metric, direction),) = metrics
    table = pd.concat([_trials_of(study) for study in studies], ignore_index=True)
    table = table[table["outcome"].isin(["complete", "diverged"])]
    worst = np.inf if direction == "minimize" else -np.inf
    table[metric] = table["value"].where(table["outcome"] == "complete", worst)
    chosen = table[["peak_lr", "batch_size", "examples", "parameters", "optimizer", metric]]
    if chosen["parameters"].isna().any() or chosen["parameters"].nunique() == 1:
        chosen = chosen.drop(columns="parameters")
    return chosen, {"lr": "peak_lr", "batch_size": "batch_size", "score": metric, "direction": direction}


def _trials_of(study: Any) -> "pd.DataFrame":
    """The trials of a study with their budget in examples, whatever part of it fills whole steps, and parameters."""
    spec, table = study.spec, study.trials()
    if spec.budget is None or not spec.budget.counts_steps:
        table["examples"] = table["examples"].max()
    return table.assign(parameters=None if spec.task is None else n_parameters(spec.task))
