"""Training at the learning rates that rules give, to measure what a rule costs instead of estimating it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from batchlaw.errors import ConfigError, Diverged
from batchlaw.laws.law import Law
from batchlaw.laws.prediction import TARGETS
from batchlaw.laws.transfer import Transfer, ranked
from batchlaw.objectives.builtin import train_config
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive_moved, run_seeds
from batchlaw.recipe.space import point_of
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import families_with
from batchlaw.stats.law import left_out
from batchlaw.stats.surface import Floats
from batchlaw.stats.transfer import Transferred, scores_at, tuned_rates


def trained(
    spec: StudySpec, transfer: Transfer, runtime: Runtime, *, done: Callable[[], None] = lambda: None
) -> Transfer:
    """The cost of every rule, from training at the learning rates that it gives, on the study's own seeds.

    The learning rate at the reference, and the law without the batch size in question, come from all seeds, since all
    seeds train with one learning rate. The rate that they are compared with is tuned on the other seeds, as in the
    estimate without training.

    Args:
        spec: the designed study.
        transfer: read from its runs; all its strata are trained.
        runtime: where to train.
        done: called after each configuration.
    """
    parts = tuple(_trained(spec, part, runtime, done) for part in transfer.strata)
    return replace(next(part for part in parts if part.law.stratum == transfer.law.stratum), strata=parts)


def n_trainings(transfer: Transfer) -> int:
    """The number of configurations that `trained` trains."""
    return sum(len(rates) for part in transfer.strata for rates in rates_of(part.law, part.reference).values())


def _trained(spec: StudySpec, transfer: Transfer, runtime: Runtime, done: Callable[[], None]) -> Transfer:
    """The transfer in one stratum."""
    law, reference, surface = transfer.law, transfer.reference, transfer.law.surface
    assert surface is not None
    tuned = scores_at(surface, tuned_rates(surface))
    carried, unmeasured = {}, {}
    for name, rates in rates_of(law, reference).items():
        try:
            scores = np.stack(
                [_scores(spec, law, reference, name, row, rates, runtime, done) for row in range(len(rates))]
            )
        except ConfigError as error:
            unmeasured[name] = str(error)
            continue
        # As in the surface, where an unstable run counts with the score of guessing.
        scores = np.maximum(scores, np.nanmin(surface.scores))
        columns = np.repeat(rates[:, None], surface.n_replicates, axis=1)
        carried[name] = Transferred(columns, tuned - scores, np.zeros(len(rates), dtype=bool))
    if "law" not in carried:
        unmeasured["law"] = law.lack or "too few batch sizes have an identified optimum without one of them"
    return ranked(law, transfer.given, reference, carried, unmeasured, transfer.errors)


def rates_of(law: Law, reference: int) -> dict[str, Floats]:
    """log₂ of the learning rate that each rule gives at each batch size (n_given,), from the one at the reference."""
    assert law.ridge is not None and law.surface is not None
    ridge, x = law.ridge, np.log2(law.surface.given)
    rows = np.searchsorted(ridge.given, law.surface.given)  # costs are told at some batch sizes only
    family = law.records[0].known_config.optimizer
    rates = {
        name: ridge.best[rows[reference]] + slope * (x - x[reference])
        for name, slope in TARGETS.items()
        if name != "sde" or family in families_with("beta2")
    }
    if law.fitted is not None:
        fitted = law.fitted.fit
        rates["law"] = left_out(ridge, fitted.curve, fitted.parameters, fitted.scatter)[rows]
    return rates


def _scores(
    spec: StudySpec, law: Law, reference: int, name: str, row: int, rates: Floats, runtime: Runtime,
    done: Callable[[], None],
) -> Floats:  # fmt: skip
    """The score of each seed, higher is better, after training one batch size at the learning rate of a rule."""
    assert law.surface is not None
    config = _config(spec, law, reference, name, int(law.surface.given[row]), float(2 ** rates[row]))
    sign = 1 if spec.direction == "maximize" else -1
    try:
        values = train_config(config, spec, lambda progress, metrics: None, runtime).replicate_values
    except Diverged as error:
        values = [error.untrained[spec.arm.metric]] * len(config.seeds)
    done()
    return sign * np.array(values, dtype=float)


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
