"""Hypotheses that are judged on all runs of a study together, by number."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd

from batchlaw.claims.critical_ratio import muon_scales_further
from batchlaw.claims.edge import moves_the_edge, settles_at_the_edge
from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.planned import varied_factors
from batchlaw.claims.runs import alpha_of, cells_of, curves_of, in_order, known, known_curves, known_times
from batchlaw.claims.to_target import obeys_the_hyperbola
from batchlaw.claims.tolerance import tolerance_shrinks
from batchlaw.claims.training_curves import (
    larger_lr_generalises,
    leaves_the_plateau,
    smaller_generalises,
    smaller_is_flatter,
)
from batchlaw.claims.verdict import Finding, Verdict
from batchlaw.spec import StudySpec, extremes
from batchlaw.stats.contrast import Contrast, beyond, paired, seed_deviation, tuned
from batchlaw.stats.holm import holm
from batchlaw.stats.importance import first_ranked, main_effects
from batchlaw.stats.stability import instability
from batchlaw.stats.surface import Bools, Floats
from batchlaw.stats.timing import knee, theil_sen

Judge = Callable[[Hypothesis, pd.DataFrame, StudySpec, np.random.Generator], Finding]

_FLAT = 0.1  # of the slope of log step time: a hundredfold batch then costs less than 1.6 times the time
_FIRST_SHARE = 0.95


def step_time(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H1, from the seconds of whole trials: each learning rate repeats the timing of a batch size."""
    trials = known_times(hypothesis.name, runs)
    x = np.log2(trials["batch_size"].to_numpy(float))
    y = np.log2((trials["train_seconds"] / trials["steps"]).to_numpy(float))
    found = knee(x, y, alpha_of(spec))
    slope = found.below
    edge = f"{2**found.at:g}"
    reason = (
        f"below a knee at batch size {edge} the slope of log step time is "
        f"{slope.slope:.2f} [{slope.ci_low:.2f}, {slope.ci_high:.2f}], on this device"
    )
    verdict: Verdict = "inconclusive"
    if slope.ci_low > _FLAT or slope.ci_high < -_FLAT:
        verdict = "refuted"
    elif slope.ci_low >= -_FLAT and slope.ci_high <= _FLAT and found.octaves_below >= 2:
        verdict = "supported"
    settle = "smaller batch sizes, or more learning rates to repeat the timing" if verdict == "inconclusive" else None
    details = {"knee": 2**found.at, "octaves_below": found.octaves_below}
    return Finding(hypothesis, verdict, reason, settle, slope, details=details)


def epoch_time(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H2, from the seconds of whole trials."""
    trials = known_times(hypothesis.name, runs)
    x = np.log2(trials["batch_size"].to_numpy(float))
    y = np.log2((trials["train_seconds"] * trials["train_size"] / trials["examples"]).to_numpy(float))
    slope, low, high = theil_sen(x, y, alpha_of(spec))
    reason = f"the slope of log epoch seconds is {slope:.2f} [{low:.2f}, {high:.2f}], on this device"
    verdict: Verdict = "supported" if high < 0 else "refuted" if low > 0 else "inconclusive"
    settle = "more learning rates to repeat the timing" if verdict == "inconclusive" else None
    return Finding(hypothesis, verdict, reason, settle, details={"slope": slope, "ci_low": low, "ci_high": high})


def larger_is_worse(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H3: the largest against the smallest batch size, at the middle learning rate and with the rate tuned for each."""
    for metric in ("train_loss", "validation_loss"):
        known(hypothesis.name, runs, metric)
    lrs = np.unique(runs["base_lr"])
    middle, edges = lrs[len(lrs) // 2], (runs["batch_size"].max(), runs["batch_size"].min())
    found: dict[str, Contrast] = {}
    for metric in ("train_loss", "validation_loss"):
        large, small = (cells_of(runs[runs["batch_size"] == edge], metric) for edge in edges)
        at_middle = runs[runs["base_lr"] == middle]
        fixed = [-cells_of(at_middle[at_middle["batch_size"] == edge], metric).mean(axis=0) for edge in edges]
        found[f"fixed_{metric}"] = paired(fixed[0], fixed[1], alpha_of(spec))
        found[f"tuned_{metric}"] = paired(-tuned(large), -tuned(small), alpha_of(spec))
    worse = {name: contrast.ci_low > 0 for name, contrast in found.items()}
    better = {name: contrast.ci_high < 0 for name, contrast in found.items()}
    reason = (
        f"tuned for each batch size the largest's loss less the smallest's is {found['tuned_train_loss']} in "
        f"training and {found['tuned_validation_loss']} in validation; at ε = {middle:g} untuned "
        f"{found['fixed_train_loss']} and {found['fixed_validation_loss']}"
    )
    verdict: Verdict = "inconclusive"
    if worse["tuned_train_loss"] and worse["tuned_validation_loss"]:
        verdict = "supported"
    elif better["tuned_train_loss"] or better["tuned_validation_loss"]:
        verdict = "refuted"
    if verdict != "supported" and worse["fixed_train_loss"] and worse["fixed_validation_loss"]:
        reason += ": worse only untuned, an artefact"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {"contrasts": {name: asdict(contrast) for name, contrast in found.items()}}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def growth_equals_decay(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H11 and H21: `step` against `batch-growth` or `seesaw` in every other cell."""
    grown = "seesaw" if hypothesis.name == "H21" else "batch-growth"
    known(hypothesis.name, runs, "validation_loss")
    known_curves(hypothesis.name, runs, "validation_loss")
    step, growth = (runs[runs["decay"] == decay] for decay in ("step", grown))
    one, other = cells_of(step, "validation_loss"), cells_of(growth, "validation_loss")
    margin = seed_deviation(one)
    contrasts = [paired(-a, -b, alpha_of(spec)) for a, b in zip(one, other, strict=True)]
    # Outside the margin: a one-sided test in every cell, corrected for their number.
    outside = [beyond(a, b, margin) for a, b in zip(one, other, strict=True)]
    n_within = sum(c.ci_low >= -margin and c.ci_high <= margin for c in contrasts)
    widest = max(contrasts, key=lambda contrast: abs(contrast.difference))
    share = float((growth["steps"].to_numpy() / step["steps"].to_numpy()).mean())
    curves = [curves_of(arm, "validation_loss", spec.arm.reports) for arm in (step, growth)]
    gap = float(np.nanmax(np.abs((curves[0] - curves[1]).mean(axis=1))))
    reason = (
        f"{n_within} of {len(contrasts)} cells agree within one seed's standard deviation, {margin:.4f}; the largest "
        f"difference, step less {grown}, is {widest}, the largest gap between their curves {gap:.4f}; "
        f"{grown} used {share:.0%} of the updates"
    )
    verdict: Verdict = "inconclusive"
    if n_within == len(contrasts):
        verdict = "supported"
    elif min(holm(np.array(outside))) <= alpha_of(spec):
        verdict = "refuted"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {
        "margin": margin,
        "updates_share": share,
        "curve_gap": gap,
        "contrasts": [asdict(contrast) for contrast in contrasts],
    }
    return Finding(hypothesis, verdict, reason, settle, details=details)


def most_sensitive(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, generator: np.random.Generator
) -> Finding:
    """H13: main effects of every varied factor on the score."""
    factors = varied_factors(spec)
    ordered = runs.sort_values([*factors, "replicate"])
    shape = [runs[name].nunique() for name in factors]
    scores = ordered["score"].to_numpy(float).reshape(*shape, spec.arm.replicates)
    shares = dict(zip(factors, main_effects(scores.mean(axis=-1)).tolist(), strict=True))
    first = dict(zip(factors, first_ranked(scores, generator).tolist(), strict=True))
    listed = ", ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda item: -item[1]))
    reason = f"main effects: {listed}; ε comes first in {first['base_lr']:.0%} of bootstraps"
    verdict: Verdict = "inconclusive"
    if first["base_lr"] >= _FIRST_SHARE:
        verdict = "supported"
    elif max(first.values()) >= _FIRST_SHARE:
        verdict = "refuted"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {"main_effects": shares, "first": first}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def late_oscillation(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H15: cosine against constant in every other cell that is stable under both, as one mean of logs a seed."""
    known(hypothesis.name, runs, "tail_loss_variance")
    constant, cosine = (runs[runs["decay"] == decay] for decay in ("constant", "cosine"))
    shaky: Bools = np.any(np.hstack([cells_of(arm, "unstable") != 0 for arm in (constant, cosine)]), axis=1)
    if shaky.all():
        return Finding(hypothesis, "inconclusive", "every cell has unstable runs", "lower learning rates")
    logs = [np.log(np.maximum(-cells_of(arm, "tail_loss_variance")[~shaky], 1e-30)) for arm in (cosine, constant)]
    found = paired(logs[0].mean(axis=0), logs[1].mean(axis=0), alpha_of(spec))
    ratio, low, high = (float(np.exp(value)) for value in (found.difference, found.ci_low, found.ci_high))
    reason = (
        f"the variance of the loss at the end is {ratio:.3g} [{low:.3g}, {high:.3g}] times that without decay, over "
        f"{(~shaky).sum()} of {len(shaky)} cells that are stable under both"
    )
    verdict: Verdict = "supported" if high < 1 else "refuted" if low > 1 else "inconclusive"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {"ratio": ratio, "ci_low": low, "ci_high": high, "n_cells": int((~shaky).sum())}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def warmup(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H14: the longest warmup against none, at high learning rates and with the rate tuned for each.

    Where bias correction is a factor the verdict is about Adam with it, and Adam without is told beside it.
    """
    high: dict[str, Floats] = {}
    best: dict[str, Contrast] = {}
    arms = {family: runs[runs["optimizer"] == family] for family in ("adam", "momentum")}
    if len(extremes(spec.space.bias_correction)) > 1:
        arms |= {"uncorrected": arms["adam"][~arms["adam"]["bias_correction"].astype(bool)]}
        arms |= {name: arms[name][arms[name]["bias_correction"].astype(bool)] for name in ("adam", "momentum")}
    for family, part in arms.items():
        high[family], best[family] = _warmup_gains(part, alpha_of(spec))
    gain = paired(high["adam"], np.zeros_like(high["adam"]), alpha_of(spec))
    more = paired(high["adam"], high["momentum"], alpha_of(spec))
    reason = (
        f"in the upper half of the learning rates warmup gains Adam {gain}, {more} more than momentum; "
        f"with the rate tuned it gains Adam {best['adam']} and momentum {best['momentum']}"
    )
    if gain.ci_low > 0 >= best["adam"].ci_low:
        reason += ": a gain of stability only"
    if "uncorrected" in high:
        without = paired(high["uncorrected"], np.zeros_like(high["adam"]), alpha_of(spec))
        further = paired(high["uncorrected"], high["adam"], alpha_of(spec))
        reason += (
            f"; without bias correction warmup gains Adam {without} there, {further} more than with it, and "
            f"{best['uncorrected']} with the rate tuned"
        )
    verdict: Verdict = "inconclusive"
    if gain.ci_low > 0 and more.ci_low > 0:
        verdict = "supported"
    elif gain.ci_high < 0 or more.ci_high < 0:
        verdict = "refuted"
    settle = "more replicates" if verdict == "inconclusive" else None
    tuned_gains = {family: asdict(contrast) for family, contrast in best.items()}
    details = {"gain": asdict(gain), "more_than_momentum": asdict(more), "tuned": tuned_gains}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def _warmup_gains(runs: pd.DataFrame, alpha: float) -> tuple[Floats, Contrast]:
    """What the longest warmup gains each seed over none in the upper half of the rates, and with the rate tuned."""
    rates = np.unique(runs["base_lr"])
    warm, cold = (runs[runs["warmup_fraction"] == level] for level in (runs["warmup_fraction"].max(), 0.0))
    upper = [cells_of(arm[arm["base_lr"] >= rates[len(rates) // 2]], "score").mean(axis=0) for arm in (warm, cold)]
    return upper[0] - upper[1], paired(tuned(cells_of(warm, "score")), tuned(cells_of(cold, "score")), alpha)


def adaptive_families(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H16: each family with everything else tuned on the other seeds."""
    best = {family: tuned(cells_of(part, "score")) for family, part in runs.groupby("optimizer")}
    alpha = alpha_of(spec)
    rmsprop = paired(best["rmsprop"], best["adagrad"], alpha)
    adamw = paired(best["adamw"], best["adam"], alpha)
    margin = seed_deviation(np.stack([best["adam"], best["adamw"]]))
    differs, wins = adamw.p_value <= alpha, rmsprop.ci_low > 0
    same = adamw.ci_low >= -margin and adamw.ci_high <= margin
    reason = (
        f"RMSprop's score less Adagrad's is {rmsprop}; AdamW's less Adam's {adamw}, with one seed's "
        f"standard deviation at {margin:.4f}"
    )
    verdict: Verdict = "inconclusive"
    if wins and differs:
        verdict = "supported"
    elif rmsprop.ci_high < 0 or same:
        verdict = "refuted"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {"rmsprop_less_adagrad": asdict(rmsprop), "adamw_less_adam": asdict(adamw), "margin": margin}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def larger_is_stabler(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, generator: np.random.Generator
) -> Finding:
    """H17: instability on batch size and learning rate."""
    ordered = in_order(runs)
    cells = ordered[ordered["replicate"] == 0]
    factors = np.log2(cells[["batch_size", "peak_lr"]].to_numpy(float))
    unstable = ordered["unstable"].to_numpy(bool).reshape(len(cells), -1)
    found = instability(factors, unstable, generator, alpha=alpha_of(spec))
    if found is None:
        reason = f"{'every' if unstable.all() else 'no'} run was unstable"
        return Finding(hypothesis, "inconclusive", reason, "learning rates on both sides of the cliff")
    batch_size, lr = found
    reason = (
        f"an octave of B changes the log odds of instability by {batch_size.slope:.2f} [{batch_size.ci_low:.2f}, "
        f"{batch_size.ci_high:.2f}], one of ε by {lr.slope:.2f} [{lr.ci_low:.2f}, {lr.ci_high:.2f}]; "
        f"{unstable.mean():.0%} of runs were unstable"
    )
    verdict: Verdict = "supported" if batch_size.ci_high < 0 else "refuted" if batch_size.ci_low > 0 else "inconclusive"
    settle = "more replicates, or levels nearer to the cliff" if verdict == "inconclusive" else None
    return Finding(hypothesis, verdict, reason, settle, batch_size, details={"lr_coefficient": lr.slope})


# These compare or rank combinations of the levels, and so need a score of every one.
OF_EVERY_CELL = ("H3", "H4", "H11", "H13", "H14", "H15", "H16", "H21", "H24")
JUDGES: dict[str, Judge] = {
    "H1": step_time,
    "H2": epoch_time,
    "H3": larger_is_worse,
    "H4": smaller_generalises,
    "H5": smaller_is_flatter,
    "H11": growth_equals_decay,
    "H12": larger_lr_generalises,
    "H13": most_sensitive,
    "H14": warmup,
    "H15": late_oscillation,
    "H16": adaptive_families,
    "H17": larger_is_stabler,
    "H18": leaves_the_plateau,
    "H20": obeys_the_hyperbola,
    "H21": growth_equals_decay,
    "H23": muon_scales_further,
    "H24": moves_the_edge,
    "H27": settles_at_the_edge,
    "H25": tolerance_shrinks,
}
