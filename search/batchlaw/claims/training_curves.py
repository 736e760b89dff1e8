"""Hypotheses about training curves: runs compared at the same training loss, and steps on the first plateau."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.planned import varied_factors
from batchlaw.claims.runs import alpha_of, cells_of, curves_of, known, known_curves
from batchlaw.claims.verdict import ENOUGH_LEVELS, Finding, Verdict
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import Contrast, paired, seed_deviation, tuned
from batchlaw.stats.matched import at_loss, lowest_common
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.partial import partial_spearman_over_seeds
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats
from batchlaw.stats.two_lines import two_lines

_SHARPNESS = ("worst_sharpness", "average_sharpness", "hessian_eigenvalue")
_MORE = "learning rates at which all runs train, and more reports, so that no run is past that loss at its first report"


def _trained(spec: StudySpec) -> float:
    """Half the loss of guessing: a run that trains ends below it (assumption)."""
    assert spec.task is not None  # only built-in tasks record curves
    return spec.task.facts.chance("validation_loss") / 2


def smaller_generalises(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H4: the smallest against the largest batch size at the same training loss, ε tuned for each on other seeds."""
    known_curves(hypothesis.name, runs, "train_loss", "validation_loss", "validation_accuracy")
    reports, batch_sizes = spec.arm.reports, np.unique(runs["batch_size"])
    parts = [runs[runs["batch_size"] == batch_size] for batch_size in batch_sizes]
    train = [curves_of(part, "train_loss", reports) for part in parts]
    target = lowest_common(train, 0.5, _trained(spec))
    ends: dict[str, list[Floats]] = {}
    for metric in ("validation_loss", "validation_accuracy"):
        for end in (0, -1):
            values = at_loss(train[end], curves_of(parts[end], metric, reports), target)
            ends.setdefault(metric, []).append(values[np.isfinite(values).all(axis=1)])
    if not np.isfinite(target) or not all(len(values) for values in ends["validation_loss"]):
        return Finding(hypothesis, "inconclusive", "no training loss is seen at both ends of the batch sizes", _MORE)
    # The training loss is the same, so the difference of the losses is that of the generalisation gaps.
    small, large = ends["validation_loss"]
    gap = paired(-tuned(-large), -tuned(-small), alpha_of(spec))
    accuracy = paired(tuned(ends["validation_accuracy"][1]), tuned(ends["validation_accuracy"][0]), alpha_of(spec))
    margin = seed_deviation(np.concatenate([small, large]))
    reason = (
        f"at a training loss of {target:.3g} the largest batch's generalisation gap less the smallest's is {gap}, with "
        f"one seed's standard deviation at {margin:.4f}; its accuracy less the smallest's is {accuracy}"
    )
    verdict: Verdict = "inconclusive"
    if gap.ci_high < 0 or (gap.ci_low >= -margin and gap.ci_high <= margin):
        verdict = "refuted"
    elif gap.ci_low > 0:
        verdict = "supported"
    settle = "more replicates" if verdict == "inconclusive" else None
    details = {"train_loss": target, "gap": asdict(gap), "accuracy": asdict(accuracy), "margin": margin}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def smaller_is_flatter(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, generator: np.random.Generator
) -> Finding:
    """H5: the rank correlation of sharpness with ε/B, given ε, at one training loss, over all cells that reach it."""
    known_curves(hypothesis.name, runs, "train_loss", *_SHARPNESS)
    reports = spec.arm.reports
    train = curves_of(runs, "train_loss", reports)
    target = lowest_common([train], ENOUGH_LEVELS, _trained(spec))
    lr, batch_size = (-cells_of(runs, column)[:, 0] for column in ("peak_lr", "batch_size"))
    found: dict[str, Slope] = {}
    for measure in _SHARPNESS:
        values = at_loss(train, curves_of(runs, measure, reports), target)
        seen = np.asarray(np.isfinite(values).all(axis=1))
        if min(len(np.unique(levels[seen])) for levels in (lr, batch_size)) < 3:
            reason = f"only {seen.sum()} of {len(train)} cells are seen at one training loss"
            return Finding(hypothesis, "inconclusive", reason, _MORE)
        found[measure] = partial_spearman_over_seeds(
            lr[seen] / batch_size[seen], values[seen], lr[seen], generator, alpha=alpha_of(spec)
        )
    shown = ", ".join(
        f"{measure.replace('_', ' ')} {rho.slope:.2f} [{rho.ci_low:.2f}, {rho.ci_high:.2f}]"
        for measure, rho in found.items()
    )
    reason = (
        f"at a training loss of {target:.3g}, in {seen.sum()} of {len(train)} cells, the rank correlation with ε/B, "
        f"given ε, is for {shown}"
    )
    flatter, sharper = (
        sum(tests) for tests in zip(*((r.ci_high < 0, r.ci_low > 0) for r in found.values()), strict=True)
    )
    verdict: Verdict = "inconclusive"
    if flatter >= 2 and not sharper:
        verdict = "supported"
    elif sharper >= 2 and not flatter:
        verdict = "refuted"
    elif flatter and sharper:
        reason += ": the measures contradict each other"
    settle = "more replicates, and more levels of ε and B" if verdict == "inconclusive" else None
    details = {
        "train_loss": target,
        "n_cells": int(seen.sum()),
        "correlations": {m: asdict(r) for m, r in found.items()},
    }
    return Finding(hypothesis, verdict, reason, settle, details=details)


def larger_lr_generalises(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator
) -> Finding:
    """H12: validation loss at the same training loss against ε, at each combination of the other factors."""
    known_curves(hypothesis.name, runs, "train_loss", "validation_loss")
    alpha, reports = alpha_of(spec), spec.arm.reports
    others = [name for name in varied_factors(spec) if name != "base_lr"]
    parts = [part for _, part in runs.groupby(others)] if others else [runs]
    rows: list[dict[str, Any]] = []
    for part in parts:
        train = curves_of(part, "train_loss", reports)
        target = lowest_common([train], ENOUGH_LEVELS, _trained(spec))
        values = at_loss(train, curves_of(part, "validation_loss", reports), target)
        seen = np.isfinite(values).all(axis=1)
        lr, loss = np.unique(part["peak_lr"])[seen], values[seen]
        x = np.log2(np.repeat(lr, loss.shape[1]))
        lines = two_lines(x, -loss.ravel())
        row: dict[str, Any] = {
            "n_lrs": int(seen.sum()),
            "train_loss": target,
            "peak": False,
            "rises": False,
            "falls": False,
        }
        if lines is not None:
            up = lines.slope_before > 0 and lines.p_before < alpha
            down = lines.slope_after < 0 and lines.p_after < alpha
            # A trend: the largest rate against the smallest, without a turn between them.
            trend = paired(loss[0], loss[-1], alpha)
            row |= {
                "peak": up and down, "rises": trend.ci_low > 0 and not down, "falls": trend.ci_high < 0 and not up,
                "best_lr": float(lr[loss.mean(axis=1).argmin()]), "gain": asdict(trend),
            }  # fmt: skip
        rows.append(row)
    n, counts = len(rows), {name: sum(bool(row[name]) for row in rows) for name in ("peak", "rises", "falls")}
    best = [row["best_lr"] for row in rows if "best_lr" in row]
    reason = (
        f"at the same training loss the validation loss is best within the learning rates in {counts['peak']} of {n} "
        f"series by the two-lines test, improves up to the largest in {counts['rises']}, worsens in {counts['falls']}"
    )
    if best:
        reason += f"; the best rates are {', '.join(f'{lr:g}' for lr in best)}"
    verdict: Verdict = "inconclusive"
    if counts["rises"] >= ENOUGH_LEVELS * n:
        verdict = "supported"
    elif counts["peak"] + counts["falls"] >= ENOUGH_LEVELS * n:
        verdict = "refuted"
        if counts["peak"]:
            reason += ": a peak, not a trend"
    settle = f"more replicates; {_MORE}" if verdict == "inconclusive" else None
    return Finding(hypothesis, verdict, reason, settle, details={"series": rows})


def oscillation_above(ridge: Ridge, runs: pd.DataFrame, alpha: float) -> Contrast | None:
    """The log variance of the final loss an octave above the best ε, less that at the best ε, as a mean over B.

    Args:
        ridge: the best learning rate at each batch size.
        runs: with one learning rate, batch size and replicate a row.
        alpha: of the interval.

    Returns:
        None where no identified optimum has stable runs alone, at it and an octave above.
    """
    gaps = []
    runs = runs.assign(tail_loss_variance=runs["tail_loss_variance"].mask(runs["unstable"].astype(bool)))
    for batch_size, best in zip(ridge.given[ridge.identified], ridge.best[ridge.identified], strict=True):
        part = runs[runs["batch_size"] == batch_size]
        variances = part.pivot(index="peak_lr", columns="replicate", values="tail_loss_variance")
        rates, logs = np.log2(variances.index.to_numpy(float)), np.log(variances.to_numpy(float))
        above = rates >= best + 1
        if above.any():
            gaps.append(logs[above.argmax()] - logs[np.abs(rates - best).argmin()])
    finite = [gap for gap in gaps if np.isfinite(gap).all()]
    if not finite:
        return None
    mean = np.mean(finite, axis=0)
    return paired(mean, np.zeros_like(mean), alpha)


def leaves_the_plateau(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H18: steps on the first plateau against B, at each ε and all further factors; one slope a seed.

    A run that never leaves it counts with all its steps, which moves the slope towards 0.
    """
    known(hypothesis.name, runs, "plateau_steps")
    ever = runs["plateau_steps"].notna()
    data = runs.assign(
        steps_there=np.log2(runs["plateau_steps"].where(ever, runs["steps"])), octave=np.log2(runs["batch_size"])
    )
    within = [name for name in varied_factors(spec) if name != "batch_size"] + ["replicate"]
    centered = data[["steps_there", "octave"]] - data.groupby(within)[["steps_there", "octave"]].transform("mean")
    of_seed = centered.assign(replicate=data["replicate"]).groupby("replicate")
    slopes = np.array([(p["steps_there"] @ p["octave"]) / (p["octave"] @ p["octave"]) for _, p in of_seed])
    found = paired(slopes, np.zeros_like(slopes), alpha_of(spec))
    medians = data.groupby("batch_size")["steps_there"].median()
    slope = Slope(
        found.difference, found.ci_low, found.ci_high, float(slopes.std(ddof=1) / len(slopes) ** 0.5), len(slopes) - 1
    )
    reason = (
        f"the slope of log steps on the plateau on log B is {slope.slope:.3f} [{slope.ci_low:.3f}, "
        f"{slope.ci_high:.3f}]; the median is {2 ** medians.iloc[0]:.0f} steps at B = {medians.index[0]} and "
        f"{2 ** medians.iloc[-1]:.0f} at B = {medians.index[-1]}; {ever.mean():.0%} of runs leave it"
    )
    verdict: Verdict = "supported" if slope.ci_low > 0 else "refuted" if slope.ci_high < 0 else "inconclusive"
    settle = "more replicates, or a start nearer to the saddle" if verdict == "inconclusive" else None
    steps = {str(level): float(2**value) for level, value in medians.items()}
    details = {"median_steps": steps, "share_left": float(ever.mean())}
    return Finding(hypothesis, verdict, reason, settle, slope, details=details)
