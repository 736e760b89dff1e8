"""How the best rate and the best batch size move with other factors, such as the horizon and the size of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchlaw.claims.hypotheses import CATALOGUE, MARGIN
from batchlaw.claims.scattered import ragged
from batchlaw.claims.verdict import Finding, growth_verdict
from batchlaw.errors import DataError
from batchlaw.stats.batch_forecast import BatchForecast, batch_forecast
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.forecast import Forecast, Group, forecast
from batchlaw.stats.slope import Slope
from batchlaw.stats.trends import trends
from batchlaw.stats.valleys import Valleys, valleys
from batchlaw.tables.spelling import number

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.tables.reading import ReadTable

_OPTIMIZER = "optimizer"  # how the name of its column ends
_FEWEST_GROUPS, _FEWEST_VALUES, _FEWEST_OCTAVES = 3, 4, 3.0  # the latter two as H10 needs of training sets
_FEWEST_ROWS = 4  # of a group, so that the misfit of its line is known, too
_GUIDE = "the law over groups of single runs was calibrated for forecasts and not for verdicts"


@dataclass(frozen=True, eq=False)
class Moves:
    """The law over groups of runs that differ in other factors; see `stats.forecast`."""

    names: tuple[str, ...]  # of the factors
    values: np.ndarray  # (n_groups, n_factors)
    rate: Forecast
    batch_size: BatchForecast | None  # None where too few groups have a best batch size among those tried
    alpha: float
    bends: tuple[Slope, ...] | None = None  # of each factor: change of the slope of ε_opt on B, a doubling of it

    @property
    def exponents(self) -> "pd.DataFrame":
        """The exponents, a row each.

        Columns: of ("best rate", at batch sizes above the critical one; "best batch size"); on, the factor; exponent;
        low; high. The best rate at small batches on the batch size is a row, too.
        """
        import pandas as pd

        rows = [
            {"of": of, "on": on, "exponent": s.slope, "low": s.ci_low, "high": s.ci_high} for of, on, s in self._slopes
        ]
        return pd.DataFrame(rows, columns=["of", "on", "exponent", "low", "high"])

    @property
    def _slopes(self) -> list[tuple[str, str, Slope]]:
        told = self.rate.parameters
        found = [
            ("best rate", name, self._slope(*told[f"axis {place}"], self.rate.degrees_of_freedom))
            for place, name in enumerate(self.names)
        ]
        small = self._slope(*told["rise"], self.rate.degrees_of_freedom)
        found.append(("best rate, small batches", "batch size", small))
        if self.batch_size is not None:
            found += [("best batch size", name, self.of_batch_size(place)) for place, name in enumerate(self.names)]
        return found

    def of_batch_size(self, place: int) -> Slope:
        """The slope of log₂ of the best batch size on that of a factor, the others held fixed."""
        assert self.batch_size is not None
        return self._slope(*self.batch_size.slopes[place], self.batch_size.degrees_of_freedom)

    def _slope(self, mean: float, deviation: float, freedom: float) -> Slope:
        return Slope.of(mean, deviation, freedom, self.alpha)

    def lines(self) -> list[str]:
        """What it says, for people."""
        found = [
            f"{of} on {on}: exponent {s.slope:.2f} [{s.ci_low:.2f}, {s.ci_high:.2f}]" for of, on, s in self._slopes
        ]
        if self.batch_size is None:
            found.append("the best batch size lies among those tried in too few groups")
        for name, bend in zip(self.names, self.bends or (), strict=False):
            told = f"{bend.slope:+.3f} [{bend.ci_low:+.3f}, {bend.ci_high:+.3f}]"
            found.append(f"slope of the best rate on the batch size, a doubling of {name}: {told}")
        return [*found, f"from {len(self.values)} groups; a guide and no test: {_GUIDE}"]

    def rises(self) -> list[Finding]:
        """H26, that the slope of the best rate on the batch size rises, with each factor, as a guide."""
        hypothesis = CATALOGUE["H26"]
        if self.bends is None:
            few = f"{len(self.values)} groups with a slope are too few for a trend over {' and '.join(self.names)}"
            return [
                Finding(hypothesis, "inconclusive", few, "runs at further horizons", None, None, None, grade="fitted")
                for _ in self.names
            ]
        found = []
        for name, bend in zip(self.names, self.bends, strict=True):
            said = "supported" if bend.ci_low > 0 else "refuted" if bend.ci_high < 0 else None
            others = " and ".join(other for other in self.names if other != name)
            fixed = f", {others} held fixed" if others else ""
            would = f", which would be {said!r}" if said else ""
            told = (
                f"a doubling of {name}{fixed} adds {bend.slope:.3f} [{bend.ci_low:.3f}, {bend.ci_high:.3f}] to the "
                f"slope of the best rate on the batch size; from {len(self.values)} groups; a guide{would}, and no "
                f"test: {_GUIDE}"
            )
            found.append(
                Finding(
                    hypothesis, "inconclusive", told, f"more values of {name}, with seeds", bend, None, None,
                    grade="fitted", guide=_GUIDE,
                )
            )  # fmt: skip
        return found

    def findings(self) -> list[Finding]:
        """H10, that the best batch size grows, of each factor, as a guide."""
        hypothesis = CATALOGUE["H10"]
        found = []
        for place, name in enumerate(self.names):
            own = np.unique(self.values[:, place])
            octaves = float(np.log2(own[-1] / own[0]))
            if self.batch_size is None:
                reason = "the best batch size lies among those tried in too few groups"
                found.append(
                    Finding(hypothesis, "inconclusive", reason, "larger and smaller batch sizes", grade="fitted")
                )
                continue
            slope = self.of_batch_size(place)
            p = equivalence_p(slope, 1 - MARGIN, 1 + MARGIN)
            verdict, reason = growth_verdict(slope, 1.0, MARGIN, p, self.alpha)
            guide = _GUIDE
            if len(own) < _FEWEST_VALUES or octaves < _FEWEST_OCTAVES:
                guide = f"{len(own)} values of {name} over {octaves:.1f} octaves, and H10 needs {_FEWEST_VALUES} over 3"
            said = "" if verdict == "inconclusive" else f", which would be {verdict!r}"
            others = " and ".join(other for other in self.names if other != name)
            fixed = f", {others} held fixed" if others else ""
            n = self.batch_size.n_groups
            told = f"on {name}{fixed}: {reason}; from {n} groups; a guide{said}, and no test: {guide}"
            found.append(
                Finding(
                    hypothesis, "inconclusive", told, f"more values of {name}, with seeds", slope, p, p, grade="fitted",
                    guide=guide,
                )
            )  # fmt: skip
        return found


def moves_over(runs: "ReadTable", over: Sequence[str], alpha: float) -> tuple[Moves, list[str]]:
    """The law over the groups of a table, and sentences on what was left out.

    Args:
        runs: the table, of whose `by` the factors are the first.
        over: the columns of the factors, numbers above 0.
        alpha: one less the confidence of every interval.

    Raises:
        DataError: a factor is no number above 0, or fewer than three groups have best rates.
    """
    found, notes = groups_over(runs, {name: name for name in over})
    varying = [name for name in over if len({values[name] for values, _ in found}) > 1]
    n = len({tuple(values.values()) for values, _ in found})
    if n < _FEWEST_GROUPS or not varying:
        raise DataError(
            f"{n} groups have a best rate at some batch sizes; {_FEWEST_GROUPS} are needed", argument="over"
        )
    values = np.array([[each[name] for name in varying] for each, _ in found])
    at = np.log2(values) - np.log2(values).mean(axis=0)
    groups = [Group(place, optima) for place, (_, optima) in zip(at, found, strict=True)]
    return Moves(tuple(varying), values, forecast(groups), batch_forecast(groups), alpha, _bends(groups, alpha)), notes


def _bends(groups: Sequence[Group], alpha: float) -> tuple[Slope, ...] | None:
    """How the slope of ε_opt on B changes with a doubling of each factor; None of too few groups with a slope.

    The slope of a group is that of the line through the bottoms of its rows, by generalised least squares.
    """
    told = [group for group in groups if len(group.optima.batch_size) >= _FEWEST_ROWS]
    if not told:
        return None
    slopes, errors = [], []
    for group in told:
        design = np.column_stack([np.ones_like(group.optima.batch_size), group.optima.batch_size])
        weighted = np.linalg.solve(group.optima.covariance, design)
        covariance = np.linalg.inv(design.T @ weighted)
        left = group.optima.best - design @ (covariance @ weighted.T @ group.optima.best)
        misfit = float(left @ np.linalg.solve(group.optima.covariance, left)) / (len(left) - 2)
        slopes.append(float((covariance @ weighted.T @ group.optima.best)[1]))
        errors.append(float(np.sqrt(covariance[1, 1] * max(misfit, 1.0))))
    found = trends(np.array(slopes), np.array(errors), np.array([group.at for group in told]), alpha)
    return None if found is None else tuple(found)


def groups_over(
    runs: "ReadTable", named: Mapping[str, str]
) -> tuple[list[tuple[dict[str, float], Valleys]], list[str]]:
    """The factors and the optima of each group, and sentences on what was left out.

    Args:
        runs: the table, of whose `by` the columns of the factors are the first.
        named: the column of each factor.
    """
    found, notes, poor = [], list[str](), 0
    for key, part in runs.table.groupby(list(runs.columns.by), sort=True):
        values = {}
        for (axis, column), text in zip(named.items(), key[: len(named)], strict=True):
            value = number(str(text))
            if value is None or not 0 < value < np.inf:
                raise DataError(f"column {column!r}: got {text!r}; must be a number above 0")
            values[axis] = value
        told = ragged(part, runs.columns)
        for name in told.factors:
            if name.lower().endswith(_OPTIMIZER):
                raise DataError(
                    f"column {name!r} has several optimizers, whose rates follow no one law; keep one by `where`"
                )
            notes.append(f"{name} varies, too: each level is a group of its own")
        for block in np.unique(told.runs.block):
            optima = valleys(told.runs.at(told.runs.block == block))
            poor += optima is None
            if optima is not None:
                found.append((values, optima))
    if poor:
        notes.append(f"{poor} group{'s have' if poor > 1 else ' has'} too few runs near the best rates, and no optimum")
    return found, list(dict.fromkeys(notes))
