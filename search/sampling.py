"""Samplers and pruners, all Optuna's, rebuilt from the stored spec since Optuna does not store them."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from search.seeds import derive_seed
from search.spec import Search


def sampler(search: Search, study_seed: int, slot: int) -> BaseSampler:
    """The sampler of one trial.

    Its seed comes from the slot, which one worker holds at a time, so no two workers draw the same start-up trials.
    """
    seed = derive_seed(study_seed, "sampler", slot)
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


def pruner(search: Search) -> BasePruner:
    """The pruner, on the grid of reports, which is the same for every batch size."""
    if search.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=search.reports)
    if search.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=1)
    return MedianPruner() if search.pruner == "median" else NopPruner()
