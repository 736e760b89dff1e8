"""Samplers and pruners, all Optuna's, rebuilt from the stored spec since Optuna does not store them."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, PartialFixedSampler, QMCSampler, RandomSampler, TPESampler

from search.seeds import derive_seed
from search.space import cells
from search.spec import StudySpec


def sampler(spec: StudySpec, study_seed: int, slot: int) -> BaseSampler:
    """The sampler of one trial. In a designed arm the slot is the cell.

    Its seed comes from the slot, which one worker holds at a time, so no two workers draw the same start-up trials.
    """
    seed = derive_seed(study_seed, "sampler", slot)
    search = spec.search
    if search is None:
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
