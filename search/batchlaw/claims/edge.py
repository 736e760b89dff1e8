"""Hypotheses about the edge of stability: where it lies (H24), and whether training settles there (H27)."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.planned import varied_factors
from batchlaw.claims.runs import alpha_of, cells_of, curves_of, known_curves
from batchlaw.claims.verdict import Finding, Verdict
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import beyond, paired, seed_deviation, tuned
from batchlaw.stats.holm import holm
from batchlaw.stats.surface import Bools, Floats

_NO_SHIFT = 0.5  # octaves; a smaller shift of the edge is none (assumption)
_BOOTSTRAPS = 2000
_LOW, _HIGH = 0.8, 1.25  # of batch sharpness × ε/2 at the edge
_MIDDLE, _HALF = (_LOW + _HIGH) / 2, (_HIGH - _LOW) / 2
_FLAT = 0.1  # of the ratio: what has settled outside changes by less from one quarter to the next (assumption)


def moves_the_edge(
    hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, generator: np.random.Generator
) -> Finding:
    """H24: the longest warmup against none, as a mean over the levels of further factors."""
    others = [name for name in varied_factors(spec) if name not in ("base_lr", "warmup_fraction")]
    parts = [part for _, part in runs.groupby(others)] if others else [runs]
    longest = runs["warmup_fraction"].max()
    arms = [[part[part["warmup_fraction"] == level] for part in parts] for level in (longest, 0.0)]
    warm, cold = (np.mean([_edges(part) for part in arm], axis=0) for arm in arms)  # (2, n_seeds)
    draws = generator.integers(0, warm.shape[1], (_BOOTSTRAPS, warm.shape[1]))
    alpha, least, most = alpha_of(spec), warm[0] - cold[1], warm[1] - cold[0]
    low = float(np.quantile(np.median(least[draws], axis=1), alpha / 2, method="lower"))
    high = float(np.quantile(np.median(most[draws], axis=1), 1 - alpha / 2, method="higher"))
    bounded = np.isfinite([low, high]).all()
    shift = float(np.median(least) + np.median(most)) / 2 if bounded else None
    n_beyond = int(np.isinf([warm, cold]).any(axis=(0, 1)).sum())
    shown = f"[{low:.2f}, {high:.2f}] octaves"
    shown = f"{shown}, as it lies beyond the rates in {n_beyond} seeds" if shift is None else f"{shift:.2f} {shown}"
    best = [[tuned(cells_of(part, "score")) for part in arm] for arm in arms]
    gain = paired(np.mean(best[0], axis=0), np.mean(best[1], axis=0), alpha)
    margin = seed_deviation(np.concatenate(best))
    reason = (
        f"warmup over {longest:g} of the steps moves the largest ε that trains by {shown}; "
        f"with ε tuned it gains {gain}, with one seed's standard deviation at {margin:.4f}"
    )
    outside = gain.ci_low > margin or gain.ci_high < -margin
    verdict: Verdict = "inconclusive"
    if outside or (high < _NO_SHIFT and low <= 0):
        verdict = "refuted"
    elif low > 0 and -margin <= gain.ci_low and gain.ci_high <= margin:
        verdict = "supported"
    settle = None
    if verdict == "inconclusive":
        finer = "more replicates, and a finer spacing of the learning rates near the edge"
        settle = finer if bounded else "learning rates on both sides of the edge in every run"
    details = {"shift": shift, "ci_low": low, "ci_high": high, "gain": asdict(gain), "margin": margin}
    return Finding(hypothesis, verdict, reason, settle, details=details)


def _edges(arm: pd.DataFrame) -> Floats:
    """The log₂ rates between which each seed stops to train, (2, n_seeds): the largest that trains and the next."""
    table = arm.pivot(index="peak_lr", columns="replicate", values="unstable")
    trains = ~table.to_numpy(bool)
    bounds = np.concatenate([[-np.inf], np.log2(table.index.to_numpy(float)), [np.inf]])
    n_below = np.where(trains.any(axis=0), len(trains) - trains[::-1].argmax(axis=0), 0)
    return np.stack([bounds[n_below], bounds[n_below + 1]])


def settles_at_the_edge(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H27: batch sharpness × ε/2 over the last quarter, in each cell of plain SGD whose runs all train."""
    known_curves(hypothesis.name, runs, "train_loss", "batch_sharpness")
    assert spec.task is not None
    alpha, reports = alpha_of(spec), spec.arm.reports
    plain = runs[(runs["optimizer"] == "sgd") & (runs["decay"] == "constant")]
    lr, batch_size = (-cells_of(plain, column)[:, 0] for column in ("peak_lr", "batch_size"))
    ratios = curves_of(plain, "batch_sharpness", reports) * lr[:, None, None] / 2
    losses = curves_of(plain, "train_loss", reports)[..., -1]
    trained: Bools = np.all(losses < spec.task.facts.chance("train_loss") / 2, axis=1)  # half that of guessing
    cells = [_Cell(each, alpha) for each in ratios[trained]]
    if not cells:
        return Finding(hypothesis, "inconclusive", "in no cell all runs train", "lower learning rates, longer training")
    p_values = holm(np.array([cell.p_value for cell in cells]))
    states = [cell.state(p <= alpha) for cell, p in zip(cells, p_values, strict=True)]
    rows = [
        {"batch_size": size, "peak_lr": rate, "state": state, "ratio": asdict(cell.at), "change": asdict(cell.change),
         "highest": cell.highest, "p_adjusted": p}
        for size, rate, state, cell, p in zip(batch_size[trained], lr[trained], states, cells, p_values, strict=True)
    ]  # fmt: skip
    of_size = {size: [row for row in rows if row["batch_size"] == size] for size in np.unique(batch_size)}
    settled = all(any(row["state"] == "within" for row in of_one) for of_one in of_size.values())
    medians = [
        f"{np.median([row['ratio']['difference'] for row in of_one]):.2f} at B = {size:g}"
        for size, of_one in of_size.items()
        if of_one
    ]
    reason = (
        f"of {len(trained)} cells batch sharpness × ε/2 has settled within [{_LOW}, {_HIGH}] in "
        f"{states.count('within')}, has settled outside or left the edge in {states.count('outside')}, and has not "
        f"come to it in {states.count('unreached')}; {len(trained) - len(cells)} do not train; the median is "
        f"{', '.join(medians)}"
    )
    verdict: Verdict = "inconclusive"
    if "outside" in states:
        verdict = "refuted"
    elif settled and "open" not in states:
        verdict = "supported"
    settle = None
    if verdict == "inconclusive":
        settle = "more replicates" if settled else "longer training, or higher learning rates that train"
    return Finding(hypothesis, verdict, reason, settle, details={"cells": rows})


class _Cell:
    """The ratio of batch sharpness to 2/ε in the runs of one cell, in its last quarter and in the one before.

    Args:
        ratios: at the reports, (n_seeds, n_reports).
        alpha: of the intervals.
    """

    def __init__(self, ratios: Floats, alpha: float) -> None:
        n = ratios.shape[1]
        quarter = n // 4
        last, before = ratios[:, -quarter:].mean(axis=1), ratios[:, -2 * quarter : -quarter].mean(axis=1)
        self.at, self.change = paired(last, np.zeros_like(last), alpha), paired(last, before, alpha)
        self.highest = float(ratios.mean(axis=0).max())
        later = last + n / quarter * (last - before)  # after as much training again
        same = (last.mean() > _MIDDLE) == (later.mean() > _MIDDLE)
        middle = np.full_like(last, _MIDDLE)
        self.p_value = max(beyond(last, middle, _HALF), beyond(later, middle, _HALF)) if same else 1.0

    def state(self, stays_outside: bool) -> str:
        """Where it stands.

        "within" and settled; "outside", where it settled or to where it went from the edge; "unreached", on its way up
        or fallen before it came there, of which the hypothesis says nothing; or "open".

        Args:
            stays_outside: whether it is outside, and would be after as much training again.
        """
        change = max(-self.change.ci_low, self.change.ci_high)
        moving, reached = change > _FLAT * abs(self.at.difference), self.highest >= _LOW
        if stays_outside and (reached or not moving):
            return "outside"
        if change <= _HALF and self.at.ci_low >= _LOW and self.at.ci_high <= _HIGH:
            return "within"
        return "unreached" if moving and not reached else "open"
