"""Training at the learning rates that rules give, to measure what a rule costs instead of estimating it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchlaw.errors import ConfigError, Diverged
from batchlaw.laws.law import Law
from batchlaw.laws.prediction import TARGETS
from batchlaw.laws.transfer import Transfer, ranked
from batchlaw.measure.run_pool import RunPool, Told
from batchlaw.measure.trainings import Tick, told_by_seeds
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive_moved, run_seeds
from batchlaw.recipe.space import point_of
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import families_with, family_of
from batchlaw.stats.law import left_out
from batchlaw.stats.surface import Floats
from batchlaw.stats.transfer import Transferred, scores_at, tuned_rates


@dataclass(frozen=True)
class _Plan:
    """What to train in one stratum."""

    transfer: Transfer
    rates: dict[str, Floats]  # log₂ of the rate of each rule at each batch size (n_given,)
    configs: dict[str, list[TrainConfig]]  # of each rule at each batch size
    unmeasured: dict[str, str]  # rules that cannot be trained, and why


def trained(
    spec: StudySpec,
    transfer: Transfer,
    runtime: Runtime,
    pool: RunPool | None = None,
    *,
    tick: Tick = lambda done, total: None,
) -> Transfer:
    """The cost of every rule, from training at the learning rates that it gives, on the study's own seeds.

    The learning rate at the reference, and the law without the batch size in question, come from all seeds, since all
    seeds train with one learning rate. The rate that they are compared with is tuned on the other seeds, as in the
    estimate without training. Where two rules give the same configuration, it is trained once.

    Args:
        spec: the designed study.
        transfer: read from its runs; all its strata are trained.
        runtime: where to train.
        pool: where code of the user's own trains; None is this process.
        tick: called after each training.

    Raises:
        ObjectiveError: a run of the user's own code failed.
    """
    plans = [_planned(spec, part) for part in transfer.strata]
    configs = {_key(config): config for plan in plans for row in plan.configs.values() for config in row}
    told = told_by_seeds(list(configs.values()), spec, runtime, pool, tick, first=_next_number(transfer))
    scores = {key: _scores(spec, seeds) for key, seeds in zip(configs, told, strict=True)}
    parts = tuple(_measured(plan, scores) for plan in plans)
    return replace(next(part for part in parts if part.law.stratum == transfer.law.stratum), strata=parts)


def _planned(spec: StudySpec, transfer: Transfer) -> _Plan:
    law, reference = transfer.law, transfer.reference
    assert law.surface is not None
    rates = rates_of(law, reference)
    configs, unmeasured = {}, {}
    for name, of_rule in rates.items():
        rows = zip(law.surface.given.tolist(), (2**of_rule).tolist(), strict=True)
        try:
            configs[name] = [_config(spec, law, reference, name, int(given), rate) for given, rate in rows]
        except ConfigError as error:
            unmeasured[name] = str(error)
    if "law" not in configs:
        unmeasured["law"] = law.lack or "too few batch sizes have an identified optimum without one of them"
    return _Plan(transfer, rates, configs, unmeasured)


def _measured(plan: _Plan, scores: Mapping[str, Floats]) -> Transfer:
    """The transfer in one stratum, by the scores (n_seeds,) of its configurations."""
    law, surface = plan.transfer.law, plan.transfer.law.surface
    assert surface is not None
    tuned = scores_at(surface, tuned_rates(surface))
    carried = {}
    for name, configs in plan.configs.items():
        # As in the surface, where an unstable run counts with the score of guessing, or the worst if that is not known.
        found = np.fmax(np.stack([scores[_key(config)] for config in configs]), np.nanmin(surface.scores))
        columns = np.repeat(plan.rates[name][:, None], surface.n_replicates, axis=1)
        carried[name] = Transferred(columns, tuned - found, np.zeros(len(configs), dtype=bool))
    return ranked(law, plan.transfer.given, plan.transfer.reference, carried, plan.unmeasured, plan.transfer.errors)


def _key(config: TrainConfig) -> str:
    return config.model_dump_json()


def _next_number(transfer: Transfer) -> int:
    """A number that no trial of the study has."""
    return 1 + max(record.number for part in transfer.strata for record in part.law.records)


def _scores(spec: StudySpec, told: Sequence[Told]) -> Floats:
    """The score of each seed, higher is better; NaN of one that diverged, if its untrained score is not known."""
    metric = spec.arm.metric
    values = [each.untrained.get(metric, math.nan) if isinstance(each, Diverged) else each[metric] for each in told]
    return (1 if spec.direction == "maximize" else -1) * np.array(values, dtype=float)


def rates_of(law: Law, reference: int) -> dict[str, Floats]:
    """log₂ of the learning rate that each rule gives at each batch size (n_given,), from the one at the reference."""
    assert law.ridge is not None and law.surface is not None
    ridge, x = law.ridge, np.log2(law.surface.given)
    rows = np.searchsorted(ridge.given, law.surface.given)  # costs are told at some batch sizes only
    family = law.records[0].known_config.optimizer
    rates = {
        name: ridge.best[rows[reference]] + slope * (x - x[reference])
        for name, slope in TARGETS.items()
        if name != "sde" or family_of(family) in families_with("beta2")
    }
    if law.fitted is not None:
        fitted = law.fitted.fit
        rates["law"] = left_out(ridge, fitted.curve, fitted.parameters, fitted.scatter)[rows]
    return rates


def _config(spec: StudySpec, law: Law, reference: int, name: str, batch_size: int, peak_lr: float) -> TrainConfig:
    """The configuration of the stratum at a batch size and a learning rate; the sde rule moves Adam's averages too."""
    assert law.ridge is not None and law.surface is not None
    given = law.surface.given[reference]
    trial = next(record for record in law.records if record.known_config.batch_size == given)
    sde = name == "sde"
    return derive_moved(
        spec,
        point_of(trial.params, spec),
        trial.known_config,
        batch_size=batch_size,
        peak_lr=float(2 ** law.ridge.best[law.ridge.given == given][0]) if sde else peak_lr,
        rule="sde" if sde else "constant",
        seeds=run_seeds(spec.arm.seed, spec.arm.replicates),
    )
