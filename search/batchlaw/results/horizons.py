"""A study whose wsd runs were scored at several horizons, as the study of one of them.

A branch of each run cooled down at each share of the budget. Its scores are among the metrics of the run, such as
`validation_loss@0.25`. Seen from a horizon, the study is one whose budget is that share.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from batchlaw.errors import BatchlawError
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.schedule import config_at
from batchlaw.results.records import KnownTrials, TrialRecord
from batchlaw.spec import StudySpec

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy


def at_horizon(stored: "StoredStudy", known: KnownTrials, horizon: float | None) -> tuple["StoredStudy", KnownTrials]:
    """A study and its trials as they stand at a horizon; None and 1 are the whole budget.

    Raises:
        BatchlawError: the study has no such horizon.
    """
    horizons = stored.spec.schedule.horizons or (1.0,)
    if horizon is not None and horizon not in horizons:
        told = ", ".join(f"{each:g}" for each in horizons)
        raise BatchlawError(
            f"must be one of {told}, the horizons of {stored.spec.name}", argument="horizon", got=horizon
        )
    if horizon is None or horizon == 1:
        return stored, known
    records = [_record_at(record, stored.spec, horizon) for record in known.records]
    return replace(stored, spec=_spec_at(stored.spec, horizon)), KnownTrials(records, known.ended)


def _spec_at(spec: StudySpec, horizon: float) -> StudySpec:
    assert spec.budget is not None
    amounts = {name: value for name, value in spec.budget if value is not None}
    of_one = {
        name: value * horizon if name == "epochs" else int(value * horizon + 1e-6) for name, value in amounts.items()
    }
    schedule = spec.schedule.model_copy(update={"horizons": None})
    return spec.model_copy(update={"budget": spec.budget.model_copy(update=of_one), "schedule": schedule})


def _record_at(record: TrialRecord, spec: StudySpec, horizon: float) -> TrialRecord:
    if record.config is None:
        return record
    config, result = config_at(record.config, horizon), record.result
    if record.outcome not in (Outcome.COMPLETE, Outcome.DIVERGED) or not result.replicates:
        return replace(record, config=config)
    ended = result.diverged or [False] * len(result.replicates)
    replicates = [_at(metrics, horizon) for metrics in result.replicates]
    # A run that has no score there diverged before it.
    diverged = [
        f"diverged@{horizon:g}" in metrics or (early and f"{spec.arm.metric}@{horizon:g}" not in metrics)
        for metrics, early in zip(result.replicates, ended, strict=True)
    ]
    values = [metrics[spec.arm.metric] for metrics in replicates]
    means = {name: sum(each[name] for each in replicates) / len(replicates) for name in replicates[0]}
    return replace(
        record, config=config, outcome=Outcome.DIVERGED if any(diverged) else Outcome.COMPLETE,
        value=sum(values) / len(values),
        result=replace(
            result, metrics=means, replicates=replicates, replicate_values=values, diverged=diverged,
            curve=(), curves=(), tail_loss_variance=(), plateau_steps=(), train_seconds=None, seconds=None,
        ),
    )  # fmt: skip


def _at(metrics: Mapping[str, float], horizon: float) -> dict[str, float]:
    """The metrics of a replicate at a horizon, by their plain names."""
    return {name: metrics.get(f"{name}@{horizon:g}", value) for name, value in metrics.items() if "@" not in name}
