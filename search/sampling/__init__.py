"""Samplers and pruners, Optuna's and that of adaptive claims, rebuilt from the stored spec: Optuna stores none."""

import warnings
from math import log2
from typing import cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, PartialFixedSampler, QMCSampler, RandomSampler, TPESampler

from search.sampling.ridge import RidgeSampler
from search.seeds import derive_seed
from search.space import cells
from search.spec import IntRange, Space, StudySpec, levels_of


def sampler(spec: StudySpec, study_seed: int, slot: int) -> BaseSampler:
    """The sampler of one trial. In a designed arm the slot is the cell.

    Its seed comes from the slot, which one worker holds at a time, so no two workers draw the same start-up trials.
    """
    seed = derive_seed(study_seed, "sampler", slot)
    search = spec.search
    if search is None:
        if spec.claim is not None and spec.claim.design == "adaptive":
            return _ridge_sampler(spec.space, seed, slot)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return PartialFixedSampler(cells(spec.space)[slot], RandomSampler(seed=seed))
    if search.sampler == "gp":
        return GPSampler(seed=seed, deterministic_objective=False)
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    if search.sampler == "qmc":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # One sequence for the study: its points are dealt out through the database.
            return QMCSampler(seed=derive_seed(study_seed, "sampler"), scramble=True, warn_independent_sampling=False)
    return TPESampler(seed=seed)


def _ridge_sampler(space: Space, seed: int, slot: int) -> RidgeSampler:
    """With the names and distributions that `suggest` asks for."""
    rates, sizes = (levels_of(dimension) for dimension in (space.base_lr, space.batch_size))
    tuned, over = "batch_size", cast(BaseDistribution, CategoricalDistribution(sizes))
    if isinstance(space.batch_size, IntRange):
        tuned, over = "log2_batch_size", IntDistribution(int(log2(sizes[0])), int(log2(sizes[-1])))
    factors = {"base_lr": CategoricalDistribution(rates), tuned: over}
    return RidgeSampler("base_lr", tuned, factors, seed=seed, slot=slot)


def pruner(spec: StudySpec) -> BasePruner:
    """The pruner, on the grid of reports, which is the same for every batch size; a designed arm is never pruned."""
    search = spec.search
    if search is None:
        return NopPruner()
    if search.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=search.reports)
    if search.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=1)
    return MedianPruner() if search.pruner == "median" else NopPruner()
