"""Steps to a target in a designed study: the fewest at each batch size, with everything else tuned (H20)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from batchlaw.claims.hypotheses import Hypothesis
from batchlaw.claims.runs import alpha_of, curves_of, in_order, known_curves
from batchlaw.claims.verdict import Finding, Verdict
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import Contrast, paired
from batchlaw.stats.first_reached import first_reached
from batchlaw.stats.holm import holm
from batchlaw.stats.hyperbola import FEWEST, Hyperbola, fit_hyperbola
from batchlaw.stats.surface import Bools, Floats, means_of_others

_METRIC = "train_loss"  # of the whole training part: small data sets have a floor in validation
_CHOSEN = 3  # targets
_SHARE = 0.6  # of the batch sizes that reach the hardest target in half of the budget
_MISS = 0.1  # of the steps


@dataclass(frozen=True, eq=False)
class ToTarget:
    """The fewest examples that reach a target, at each batch size."""

    target: float  # training loss
    batch_size: Floats  # (n,)
    log_examples: Floats  # (n, n_seeds) natural logarithm, each seed in the cell that is best on the others
    run: Floats  # (n,) examples that were run
    lr: Floats  # (n,) peak rate of the cell with the fewest on all seeds; NaN where none reaches it
    edge: Bools  # (n,) that rate is the lowest or highest of those tried
    left_out: tuple[float, ...]  # batch sizes at which the first report was below the target already

    @property
    def reached(self) -> Bools:
        """Whether all seeds reach it in the cell that is taken, (n,)."""
        return np.asarray(np.isfinite(self.log_examples).all(axis=1))

    @property
    def steps(self) -> Floats:
        """The geometric mean over seeds; the steps that were run where it is not reached, (n,)."""
        reached = self.reached
        logs = np.where(reached[:, None], self.log_examples, 0.0).mean(axis=1)
        return np.asarray(np.where(reached, np.exp(logs), self.run) / self.batch_size)

    @property
    def error(self) -> Floats:
        """The standard error of the natural logarithm of the steps, NaN where they are not reached, (n,)."""
        reached, n = self.reached, self.log_examples.shape[1]
        spread = np.where(reached[:, None], self.log_examples, 0.0).std(axis=1, ddof=1) / np.sqrt(n)
        return np.asarray(np.where(reached, spread, np.nan))

    def fitted(self, alpha: float) -> Hyperbola | None:
        """The hyperbola through the means."""
        reached, n = self.reached, self.log_examples.shape[1]
        if reached.sum() < FEWEST:
            return None
        variance = np.where(reached, np.nan_to_num(self.error) ** 2, 0.0)
        return fit_hyperbola(self.batch_size, self.steps, reached, variance, (n - 1) * int(reached.sum()), alpha=alpha)


def to_targets(spec: StudySpec, runs: pd.DataFrame, name: str = "H20") -> list[ToTarget]:
    """The fewest examples to each target of a study, or to three that are chosen from the curves, easiest first.

    Raises:
        StudyError: the losses were not recorded at the reports.
    """
    return to_common_targets(spec, [runs], name)[0]


def to_common_targets(spec: StudySpec, parts: Sequence[pd.DataFrame], name: str) -> list[list[ToTarget]]:
    """As `to_targets` of each part of the runs, with targets that suit all of them."""
    assert spec.claim is not None
    found = []
    for runs in parts:
        known_curves(name, runs, _METRIC)
        ordered = in_order(runs)
        cells = ordered[ordered["replicate"] == ordered["replicate"].min()].reset_index(drop=True)
        found.append((cells, curves_of(runs, _METRIC, spec.arm.reports)))  # (n_cells, n_seeds, n_reports)
    targets = sorted(spec.claim.targets, reverse=True)
    if not targets:
        easiest, hardest = zip(*(_reach(spec, cells, curves) for cells, curves in found), strict=True)
        targets = _between(min(easiest), max(hardest))
    return [[_to_target(target, cells, curves) for target in targets] for cells, curves in found]


def _reach(spec: StudySpec, cells: pd.DataFrame, curves: Floats) -> tuple[float, float]:
    """The targets below what is seen at the first report and at what most batch sizes reach in half of the budget."""
    assert spec.task is not None
    sizes = np.unique(cells["batch_size"])
    means = np.where(np.isfinite(curves).all(axis=1), curves.mean(axis=1), np.inf)  # (n_cells, n_reports)
    best = np.array([means[(cells["batch_size"] == size).to_numpy()].min(axis=0) for size in sizes])
    halfway = np.sort(best[:, : max(best.shape[1] // 2, 1)].min(axis=1))
    hardest = float(halfway[int(np.ceil(_SHARE * len(halfway))) - 1])
    easiest = min(float(np.nanmin(curves[:, :, 0])) * 0.99, spec.task.facts.chance("validation_loss") / 2)
    return easiest, hardest


def _between(easiest: float, hardest: float) -> list[float]:
    """Targets from the easiest to the hardest."""
    if not np.isfinite(hardest):
        return []
    several = np.geomspace(easiest, hardest, _CHOSEN) if hardest < easiest else [hardest]
    return [float(f"{target:.3g}") for target in several]


def _to_target(target: float, cells: pd.DataFrame, curves: Floats) -> ToTarget:
    n_reports = curves.shape[2]
    sizes, examples, run, rates, edges, early = [], [], [], [], [], []
    for size, part in cells.groupby("batch_size", sort=True):
        seen = [np.arange(1, n_reports + 1) / n_reports * total for total in part["examples"]]
        of_cells = zip(seen, curves[part.index], strict=True)
        logs = np.log([[first_reached(at, curve, target) for curve in seeds] for at, seeds in of_cells])
        if np.isnan(logs).any():
            early.append(float(str(size)))
            continue
        means = logs.mean(axis=1)
        best = int(means.argmin())
        lr = part["peak_lr"].to_numpy(float)
        sizes.append(float(str(size)))
        examples.append(_on_others(logs))
        run.append(float(part["examples"].max()))
        rates.append(float(lr[best]) if np.isfinite(means[best]) else np.nan)
        edges.append(bool(np.isfinite(means[best]) and lr[best] in (lr.min(), lr.max())))
    shape = (-1, curves.shape[1])
    return ToTarget(
        target, np.array(sizes), np.array(examples).reshape(shape), np.array(run), np.array(rates),
        np.array(edges, dtype=bool), tuple(early),
    )  # fmt: skip


def _on_others(logs: Floats) -> Floats:
    """Of (n_cells, n_seeds) the value of each seed in the cell with the least mean of the others, (n_seeds,)."""
    finite = np.where(np.isfinite(logs), logs, 1e6)
    chosen = finite[means_of_others(finite).argmin(axis=0), np.arange(logs.shape[1])]
    return np.asarray(np.where(chosen < 1e5, chosen, np.inf))


def obeys_the_hyperbola(hypothesis: Hypothesis, runs: pd.DataFrame, spec: StudySpec, _: np.random.Generator) -> Finding:
    """H20: the hyperbola at every target, and the ratio of the critical batch sizes of the hardest and the easiest."""
    alpha = alpha_of(spec)
    found = [(each, each.fitted(alpha)) for each in to_targets(spec, runs)]
    fitted = [(each, curve) for each, curve in found if curve is not None]
    more = "a longer budget, and more reports, so that each target is reached between them at more batch sizes"
    if not fitted:
        return Finding(hypothesis, "inconclusive", "no target is reached at three batch sizes", more)
    misses = [miss_of(each, curve) for each, curve in fitted]
    p_values = [curve.lack_of_fit or 1.0 for _, curve in fitted]
    closed = [each for each, curve in fitted if curve.critical.value is not None]
    growth = _growth(closed[0], closed[-1]) if len(closed) > 1 else None
    reason = "critical batch size " + ", ".join(
        f"{curve.critical} at a loss of {each.target:g}" for each, curve in fitted
    )
    reason += f"; the hyperbola misses the steps by {', '.join(f'{miss:.0%}' for miss in misses)}"
    verdict: Verdict = "inconclusive"
    off = [miss > _MISS and p <= alpha for miss, p in zip(misses, holm(np.array(p_values)), strict=True)]
    if growth is not None:
        ratio, low, high = np.exp([growth.difference, growth.ci_low, growth.ci_high]).tolist()
        reason += f"; from the easiest target to the hardest it grows {ratio:.2g} times [{low:.2g}, {high:.2g}]"
        if growth.ci_high < 0:
            verdict = "refuted"
        elif growth.ci_low > 0 and max(misses) <= _MISS:
            verdict = "supported"
    if any(off):
        verdict = "refuted"
    left_out = sorted({size for each, _ in fitted for size in each.left_out})
    if left_out:
        reason += (
            f"; at batch size {', '.join(f'{size:g}' for size in left_out)} a target was met before the first report"
        )
    settle = f"more replicates; {more}" if verdict == "inconclusive" else None
    details = {
        "targets": [
            {"target": each.target, "critical_batch_size": asdict(curve.critical), "miss": miss}
            for (each, curve), miss in zip(fitted, misses, strict=True)
        ],
        "growth": growth and asdict(growth),
    }  # fmt: skip
    return Finding(hypothesis, verdict, reason, settle, details=details)


def miss_of(each: ToTarget, curve: Hyperbola) -> float:
    """Root mean square of the share by which the hyperbola misses the steps."""
    told = curve.steps(each.batch_size)
    if told is None:
        return curve.deviation
    return float(np.sqrt(np.mean((np.log(each.steps) - np.log(told))[each.reached] ** 2)))


def _growth(easy: ToTarget, hard: ToTarget) -> Contrast | None:
    """The log ratio of the critical batch sizes over seeds, of the batch sizes that reach both; None where open."""
    logs = logs_of_seeds(hard, easy)
    if logs is None:
        return None
    known = np.isfinite(logs).all(axis=0)
    return paired(logs[0][known], logs[1][known]) if known.sum() > 1 else None


def logs_of_seeds(one: ToTarget, other: ToTarget) -> Floats | None:
    """The log critical batch sizes of each seed, of the batch sizes that reach both targets, (2, n_seeds).

    NaN where one is open; None of fewer than three batch sizes.
    """
    both = np.intersect1d(one.batch_size[one.reached], other.batch_size[other.reached])
    return None if len(both) < FEWEST else np.array([_of_seeds(each, both) for each in (one, other)])


def _of_seeds(each: ToTarget, sizes: Sequence[float] | Floats) -> Floats:
    rows = np.isin(each.batch_size, sizes)
    found = []
    for logs in each.log_examples[rows].T:
        curve = fit_hyperbola(each.batch_size[rows], np.exp(logs) / each.batch_size[rows])
        value = curve.critical.value if curve is not None else None
        found.append(np.nan if value is None else np.log(value))
    return np.array(found)
