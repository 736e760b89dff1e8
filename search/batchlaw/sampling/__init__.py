"""Samplers and pruners, Optuna's and ours. Optuna does not store them, so they are built anew from the stored spec."""

import warnings
from collections.abc import Mapping
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, PartialFixedSampler, QMCSampler, RandomSampler
from optuna.study import Study

from batchlaw.recipe.seeds import derive_seed
from batchlaw.recipe.space import cells, conditional, distributions_of
from batchlaw.sampling.halving import Halving
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.sampling.weighted import FastKept, WeightedTPESampler
from batchlaw.spec import StudySpec
from batchlaw.storage import hyperband

_REDUCTION = {"hyperband": 3, "asha": 4}  # Optuna's defaults
PRUNABLE = 2 / 3  # of its budget: after this share a trial is no longer pruned


def sampler(spec: StudySpec, study_seed: int, slot: int, study: Study | None = None) -> BaseSampler:
    """The sampler of one trial of a search, or of a full factorial, whose slot is the number of the cell.

    The slot sets its seed. One worker holds a slot at a time, so no two workers draw the same start-up trials.
    """
    seed = derive_seed(study_seed, "sampler", slot)
    search = spec.search
    if search is None:
        return fixed(cells(spec)[slot])
    if search.sampler == "gp":
        return GPSampler(seed=seed, deterministic_objective=False)
    if search.sampler == "per-second":
        from batchlaw.sampling.per_second import PerSecondSampler  # SciPy takes half a second to import

        return PerSecondSampler(seed=seed, space=distributions_of(spec), conditional=conditional(spec), study=study)
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    if search.sampler == "qmc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # All trials share one sequence, so they need the same seed; the database hands out its points.
            return QMCSampler(seed=derive_seed(study_seed, "sampler"), scramble=True, warn_independent_sampling=False)
    if search.against is not None:
        return WeightedTPESampler(distributions_of(spec), conditional(spec), seed=seed)
    return KnownSpaceTPESampler(distributions_of(spec), conditional(spec), seed=seed)


def fixed(params: Mapping[str, Any]) -> BaseSampler:
    """The sampler of a trial whose parameters are known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return PartialFixedSampler(dict(params), RandomSampler(seed=0))


def pruner(spec: StudySpec) -> BasePruner:
    """The pruner. It counts in reports, which come at the same fractions of the budget for every batch size.

    The trials of a claim are never pruned.
    """
    search = spec.search
    if search is None:
        return NopPruner()
    halving = Halving if search.against is None else FastKept
    if search.pruner == "hyperband":
        return hyperband(search.reports, _REDUCTION["hyperband"], halving)
    if search.pruner == "asha":
        return halving(1, _REDUCTION["asha"])
    return MedianPruner() if search.pruner == "median" else NopPruner()


def rungs(spec: StudySpec) -> frozenset[int]:
    """The reports after which the pruner is asked; asking costs a read of the database.

    Successive halving decides at powers of its reduction factor, in every bracket. In the last third of a trial no
    pruner is asked, because the score of a complete trial is worth more than the rest of its time. For example,
    Hyperband's rung at 9 of 10 reports ended a fifth of the trials of tests/benchmarks/real_study.toml. Without that
    rung the search was behind on none of four seeds at 15 s (measured).
    """
    search = spec.search
    if search is None or search.pruner == "none":
        return frozenset()
    factor = _REDUCTION.get(search.pruner)
    steps = range(1, search.reports) if factor is None else [factor**rung for rung in range(search.reports)]
    return frozenset(step for step in steps if step <= search.reports * PRUNABLE)
