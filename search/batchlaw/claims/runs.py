"""The runs of a designed study as one table."""

import math
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.planned import cell_name, factors_of, last_trials, missing_cells, planned_cells, scored
from batchlaw.errors import StudyError
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.result import TrialResult
from batchlaw.spec import BUILTIN_METRICS, StudySpec, TrainConfig
from batchlaw.stats.cells import Runs
from batchlaw.stats.surface import Bools, Floats


def runs_of(spec: StudySpec, records: list[TrialRecord], *, ended: bool = False) -> pd.DataFrame:
    """One row a run: its factors, replicate, score (higher is better), unstable, losses, steps and seconds a trial.

    The score is NaN where there is none: the cell did not fit the memory of its device, or failed for good.

    Args:
        spec: the study.
        records: its trials.
        ended: whether no trial of it is left, so that cells without a result stay without.

    Raises:
        StudyError: cells have not been run, no run has a score, or the design is an adaptive one.
    """
    if spec.claim is not None and spec.claim.design == "adaptive":
        raise StudyError(
            f"study {spec.name!r} has an adaptive design, which does not fill the grid and tells the best batch size "
            "at each learning rate only; a factorial design tells both directions"
        )
    last, planned = last_trials(spec, records), planned_cells(spec)
    missing = missing_cells(planned, last)
    unrun = [cell for cell, outcome in missing.items() if not ended and outcome != Outcome.OUT_OF_MEMORY]
    if unrun:
        raise StudyError(
            f"{len(unrun)} of {len(planned)} cells have no result yet, such as {cell_name(spec, unrun[0])}",
            remedy="Study.run",
        )
    seeds = run_seeds(spec.arm.seed, spec.arm.replicates)
    found, trials = [], []
    for cell, params in planned.items():
        record = None if cell in missing else last[cell]
        config = derive(spec, point_of(params, spec), seeds) if record is None else record.known_config
        trials.append(_trial(config, TrialResult() if record is None else record.result))
        found.append(_replicates(spec, record, len(seeds)))
    frame = pd.concat([pd.DataFrame(list(planned), columns=list(factors_of(spec))), pd.DataFrame(trials)], axis=1)
    runs = frame.loc[frame.index.repeat([len(columns["replicate"]) for columns in found])].reset_index(drop=True)
    runs = runs.assign(**{name: list(chain.from_iterable(columns[name] for columns in found)) for name in found[0]})
    return runs.assign(score=_with_worst(spec, runs["score"].to_numpy(float), runs["unstable"].to_numpy(bool)))


def adaptive_runs_of(spec: StudySpec, records: list[TrialRecord], *, ended: bool = False) -> Runs:
    """The runs of an adaptive design, as many of each trial as it has seeds; those without a score are left out.

    A loss is read on a log scale, on which its noise and its fall beside the best are more alike over learning rates
    and on both sides (measured on digits: an octave below the best it is 1.3 times as large, two octaves 10 times, two
    octaves above 1.2 times). Where it is smallest does not depend on the scale.

    Raises:
        StudyError: trials have not been run.
    """
    assert spec.claim is not None and spec.claim.runs is not None
    counted = scored(records)
    missing = spec.claim.runs - len(counted) - sum(record.outcome == Outcome.OUT_OF_MEMORY for record in records)
    if missing > 0 and not ended:
        raise StudyError(f"{missing} of {spec.claim.runs} runs have no result yet", remedy="Study.run")
    found = [_replicates(spec, record, spec.arm.replicates) for record in counted]
    counts = [len(columns["score"]) for columns in found]
    unstable = np.concatenate([[], *(columns["unstable"] for columns in found)]).astype(bool)
    scores = _with_worst(spec, np.concatenate([[], *(columns["score"] for columns in found)]), unstable)
    if spec.direction == "minimize" and scores.max() < 0:
        scores = -np.log(-scores)
    return Runs(
        given=np.repeat([record.known_config.peak_lr for record in counted], counts),
        tuned=np.repeat([float(record.known_config.batch_size) for record in counted], counts),
        seeds=np.concatenate([record.known_config.seeds for record in counted]),
        scores=scores,
        unstable=unstable,
    )


def _with_worst(spec: StudySpec, scores: Floats, unstable: Bools) -> Floats:
    """Scores (n,), with the worst of the study in place of those that are not known of diverged runs.

    Raises:
        StudyError: none is known.
    """
    known = np.isfinite(scores)
    if not known.any():
        raise StudyError(f"no run of study {spec.name!r} has a score: all diverged, failed or ran out of memory")
    return np.where(~known & unstable, scores[known].min(), scores)


def _trial(config: TrainConfig, result: TrialResult) -> dict[str, Any]:
    """The columns that are the same for all replicates."""
    return {
        "peak_lr": config.peak_lr,
        "inverse_damping": 1 / (1 - config.momentum),
        "curves": result.curves,
        "steps": config.steps,
        "examples": config.examples,
        "train_seconds": math.nan if result.train_seconds is None else result.train_seconds,
        "shares_network": len(result.stacked_base_lrs) > 1,
    }


def _replicates(spec: StudySpec, record: TrialRecord | None, n: int) -> dict[str, list[Any]]:
    """The columns in which each of n replicates has its own value; without a record of a score they are NaN."""
    scores, unstable = _scores(spec, record) if record else ([math.nan] * n, [False] * n)
    result = record.result if record else TrialResult()
    sign = 1 if spec.direction == "maximize" else -1
    metrics = result.replicates or [{}] * n
    plateaus = result.plateau_steps or [None] * n
    return {
        "replicate": list(range(n)),
        "score": [sign * score for score in scores],
        "unstable": unstable,
        "train_loss": [each.get("train_loss", math.nan) for each in metrics],
        "validation_loss": [each.get("validation_loss", math.nan) for each in metrics],
        "tail_loss_variance": list(result.tail_loss_variance) or [math.nan] * n,
        "plateau_steps": [math.nan if steps is None else steps for steps in plateaus],
    }


def alpha_of(spec: StudySpec) -> float:
    """The level at which a designed study is judged."""
    assert spec.claim is not None
    return spec.claim.alpha


def known(name: str, runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each trial that has a finite value in a column.

    Raises:
        StudyError: no trial has one, which may happen with a training function of your own.
    """
    known = runs[(runs["replicate"] == 0) & np.isfinite(runs[column])]
    if known.empty:
        raise StudyError(f"{name} needs {column}, which no run of this study has recorded")
    return known


def known_times(name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each trial whose training was timed.

    Raises:
        StudyError: none was, or learning rates trained as one network, whose time is not that of one run.
    """
    if runs["shares_network"].any():
        raise StudyError(
            f"{name} needs runs timed by themselves; here learning rates trained as one network, "
            f"as they do unless the study file names {name}"
        )
    return known(name, runs, "train_seconds")


def known_curves(name: str, runs: pd.DataFrame, *columns: str) -> None:
    """Check that columns were recorded at the reports.

    Raises:
        StudyError: a column was not, since no hypothesis of the study needed it.
    """
    for column in columns:
        if not any(column in point.metrics for curve in runs["curves"] for point in curve[:1]):
            raise StudyError(f"{name} needs {column} at every report, which no run of this study has recorded")


def curves_of(runs: pd.DataFrame, column: str, reports: int) -> Floats:
    """A column of the reports, (cells, replicates, reports) in the order of `cells_of`; NaN where a run diverged."""
    ordered = in_order(runs)
    curves = np.full((len(ordered), reports), np.nan)
    for row, (replicate, curve) in enumerate(zip(ordered["replicate"], ordered["curves"], strict=True)):
        for point in reversed(curve):
            value = point.metrics[column][replicate]
            # A run with fewer steps than reports leaves some out; each takes the value of the next one.
            curves[row, : round(point.progress * reports)] = math.nan if value is None else value
    return curves.reshape(-1, ordered["replicate"].nunique(), reports)


def in_order(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of their factors, which are the columns before that of the peak rate, and replicates."""
    factors = runs.columns[: list(runs.columns).index("peak_lr")]
    return runs.sort_values([*factors, "replicate"])


def cells_of(runs: pd.DataFrame, column: str) -> Floats:
    """The values of a column, higher is better, (cells, replicates) in the order of their factors."""
    ordered = in_order(runs)
    values = ordered[column].to_numpy(float).reshape(-1, ordered["replicate"].nunique())
    # A run without a finite loss diverged, and counts as the worst.
    signed = values if column == "score" else -values
    finite: Floats = np.where(np.isfinite(signed), signed, np.nanmin(signed))
    return finite


def _scores(spec: StudySpec, record: TrialRecord) -> tuple[list[float], list[bool]]:
    """The score of each replicate, and whether it was unstable: diverged, or no better than guessing.

    With a task an unstable run counts with the score of guessing, which an untrained network has. How far its loss went
    beyond that says nothing about the batch size, and would outweigh the other seeds. Of a user's function the score of
    guessing is not known; a diverged run has the untrained score that the function gave, or NaN.
    """
    # A trial that diverged as a whole, without an untrained score, has no list of values.
    values = list(record.result.replicate_values) or [math.nan] * len(record.known_config.seeds)
    diverged = record.result.diverged or [record.outcome != Outcome.COMPLETE] * len(values)
    if spec.task is None:
        return values, list(diverged)
    chance = {metric: spec.task.facts.chance(metric) for metric in BUILTIN_METRICS}
    accuracy = chance["validation_accuracy"]
    error = math.sqrt(accuracy * (1 - accuracy) / spec.task.n_validation)
    guessing = [
        m["validation_accuracy"] <= accuracy + 3 * error or m["validation_loss"] >= chance["validation_loss"]
        for m in record.result.replicates
    ] or [True] * len(values)
    unstable = [left or guess for left, guess in zip(diverged, guessing, strict=True)]
    return [chance[spec.arm.metric] if u else value for value, u in zip(values, unstable, strict=True)], unstable
