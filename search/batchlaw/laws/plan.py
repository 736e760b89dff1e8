"""The batch size and the learning rate of a run longer or larger than any that was tried, from smaller runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from batchlaw.errors import BatchlawError
from batchlaw.laws.axes import Axis, centred
from batchlaw.laws.companions import NOTHING, Companion, Known, companions
from batchlaw.laws.next_run import next_run
from batchlaw.laws.published import Told, published
from batchlaw.results.interval import Interval
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import plain
from batchlaw.stats.batch_forecast import BatchForecast
from batchlaw.stats.forecast import BENT, Forecast, Group
from batchlaw.stats.predicted import Predicted
from batchlaw.stats.surface import Floats

if TYPE_CHECKING:
    import pandas as pd

_FAR_IN_BATCH = 1.0  # octaves beyond the batch sizes that were tried
_DRAWS = 4000


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The batch size and the learning rate for a run that was not tried, with prediction intervals.

    An interval is for the optimum of one new run's setting, not for the mean of many: it has the law's uncertainty and
    the differences between groups of runs. Of 95 % intervals 91 % held the optimum on the Step Law table with each grid
    left out in turn (`tests/benchmarks/plan_forecasts.py`, which simulates planted laws as well).

    Attributes:
        title: of the runs.
        at: what the run asked for has: "examples" or "tokens", and "parameters".
        axes: what the groups of runs have.
        fitted: the law of the best rate.
        of_batch_size: the law of the best batch size; None where too few groups show one.
        notes: sentences on what was left out.
        read: what was recognised in a table, in one line.
        known: weight decay and β₂ of the runs.
        in_tokens: whether batch sizes are counted in tokens.
    """

    title: str
    at: Mapping[str, float]
    axes: tuple[Axis, ...]
    fitted: Forecast
    of_batch_size: BatchForecast | None
    tried: tuple[float, float]  # the smallest and the largest batch size
    alpha: float
    extrapolate: bool
    notes: tuple[str, ...]
    read: str
    known: Known = NOTHING
    in_tokens: bool = False

    @property
    def grade(self) -> Literal["fitted"]:
        """How strong the evidence is: a law through single runs, whose forecast nobody has tested yet."""
        return "fitted"

    @property
    def batch_size(self) -> Interval | None:
        """The best batch size in the unit of the runs, 1 or more; None where too few groups show one among those."""
        if self.of_batch_size is None:
            return None
        found = self._interval(self.of_batch_size.predict(self._place))
        return Interval(*(max(end, 1.0) for end in (found.value, found.low, found.high)))

    @property
    def lr(self) -> Interval | None:
        """The best learning rate at the best batch size; None where that is not known."""
        best = self.batch_size
        return None if best is None else self._interval(self._rate(best.value))

    @property
    def weight_decay(self) -> Interval | None:
        """None: the runs do not determine it. `companions` has what a rule says, without an interval."""
        return None

    @property
    def companions(self) -> list[Companion]:
        """Weight decay, β₂ and warmup by published rules; none where no batch size is planned."""
        best, lr = self.batch_size, self.lr
        if best is None or lr is None:
            return []
        size, rate = self._best_pair(self._nearest_group)
        return companions(self.known, best.value / size, lr.value / rate, self._longer or 1.0)

    def lr_at(self, batch_size: float) -> Interval:
        """The best learning rate at a batch size.

        Args:
            batch_size: in the unit of the runs.

        Raises:
            BatchlawError: it lies far outside those tried.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, Real) or not 0 < batch_size < np.inf:
            raise BatchlawError("must be a number above 0", argument="batch_size", got=batch_size)
        low, high = self.tried
        if not self.extrapolate and not low / 2**_FAR_IN_BATCH <= batch_size <= high * 2**_FAR_IN_BATCH:
            ends = f"{low / 2**_FAR_IN_BATCH:g} to {high * 2**_FAR_IN_BATCH:g}"
            raise BatchlawError(
                f"must be from {ends}; {low:g} to {high:g} were tried",
                argument="batch_size", got=batch_size, remedy="extrapolate",
            )  # fmt: skip
        return self._interval(self._rate(float(batch_size)))

    def shown_sizes(self, further: float | None = None) -> list[float]:
        """Powers of two among the batch sizes that were tried, for a table, and a further one."""
        low, high = np.log2(self.tried)
        powers = np.arange(np.ceil(low - 1e-9), np.floor(high + 1e-9) + 1)
        found = {float(2**power) for power in powers[:: max(1, len(powers) // 6)]}
        return sorted(found | ({further} if further is not None else set()))

    @property
    def exponents(self) -> "pd.DataFrame":
        """The law's exponents at a typical batch size, a row each, with intervals of the law.

        Columns: of, what moves; on, with what; exponent; low; high.
        """
        import pandas as pd

        rows = []
        told = self.fitted.parameters
        reach = float(special.stdtrit(self.fitted.degrees_of_freedom, 1 - self.alpha / 2))
        named = [("best rate, large batches", axis.name, f"axis {n}") for n, axis in enumerate(self.axes)]
        named += [("critical batch size", axis.name, f"kink {n}") for n, axis in enumerate(self.axes)]
        for of, on, name in (*named, ("best rate, small batches", "batch size", "rise")):
            mean, half = told[name][0], reach * told[name][1]
            rows.append({"of": of, "on": on, "exponent": mean, "low": mean - half, "high": mean + half})
        return pd.DataFrame(rows)

    @property
    def bends(self) -> dict[str, float]:
        """The axes on which the best rate follows no one power, and how many times more probable a bend makes the runs.

        Of straight laws 5 % or less are told to bend. The intervals have the doubt of a bend, told or not.
        """
        odds = zip(self.axes, self.fitted.bend_odds.tolist(), strict=True)
        return {axis.name: odd for axis, odd in odds if odd >= BENT}

    @property
    def regret(self) -> "pd.DataFrame":
        """What each rule is expected to cost in score by its rate at its batch size, the least costly first.

        "law" is the plan; the others are those of `batchlaw.laws.published`, with their sources.

        Columns: rule; batch_size, the planned one (or the nearest group's) where the rule tells none; lr; mean, the
        expected loss of score against the best rate at this batch size; low; high, its interval.
        """
        import pandas as pd

        start = self._best_pair(self._nearest_group)
        planned = start[0] if self.batch_size is None else self.batch_size.value
        law = Told("law", planned, float(2 ** self._rate(planned).mean[0]))
        rows = []
        for told in (law, *published(self.at, planned, start, self._longer, in_tokens=self.in_tokens)):
            shape = self.fitted.shape(self._place, float(np.log2(told.batch_size)))
            drawn = self._rate(told.batch_size).draws(_DRAWS, np.random.default_rng(0))
            cost = shape.height(np.log2(told.lr) - drawn, np.full(_DRAWS, shape.middle))
            low, high = np.quantile(cost, [self.alpha / 2, 1 - self.alpha / 2])
            rows.append(told._asdict() | {"mean": float(cost.mean()), "low": low, "high": high})
        return pd.DataFrame(rows).sort_values("mean", ignore_index=True)

    @property
    def next_run(self) -> str | None:
        """Which small set of runs would narrow the plan most, as a sentence; None where none does."""
        batch_size = self.batch_size.value if self.batch_size is not None else self._best_pair(self._nearest_group)[0]
        return next_run(self.fitted, self.axes, self.at, batch_size, self.tried)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "title": self.title, "grade": self.grade, "at": dict(self.at), "alpha": self.alpha,
            "batch_size": self.batch_size and plain(asdict(self.batch_size)), "lr": self.lr and plain(asdict(self.lr)),
            "exponents": plain(self.exponents.to_dict("records")), "regret": plain(self.regret.to_dict("records")),
            "bends": self.bends, "groups": len(self.fitted.groups),
            "seen": {axis.name: plain(list(axis.seen)) for axis in self.axes},
            "weight_decay": None, "companions": plain([each._asdict() for each in self.companions]),
            "tried": plain(list(self.tried)), "next_run": self.next_run, "notes": list(self.notes), "read": self.read,
        }  # fmt: skip

    def __repr__(self) -> str:
        where = ", ".join(f"{name}={value:g}" for name, value in self.at.items())
        return f"Plan({where}: batch_size={self.batch_size}, lr={self.lr})"

    def _repr_html_(self) -> str:
        return notebook_html(repr(self), self.lines(), self.regret, self.exponents)

    def lines(self) -> list[str]:
        """What stands below the plan, as sentences."""
        seen = "; ".join(f"{axis.name} {axis.seen[0]:.3g} to {axis.seen[1]:.3g}" for axis in self.axes)
        found = [f"from {len(self.fitted.groups)} groups of runs with {seen}; a guide, as nothing was run there"]
        beyond = [
            f"{self.at[axis.name] / axis.seen[1]:.3g} times the largest {axis.name}"
            for axis in self.axes
            if self.at[axis.name] > axis.seen[1]
        ]
        if beyond:
            found.append(f"this is {' and '.join(beyond)} seen")
        for place, axis in enumerate(self.axes):
            if (odds := self.bends.get(axis.name)) is not None:
                first, last = self.fitted.ends(place)
                found.append(
                    f"the best rate follows no one power of {axis.name}: the exponent is {first:.2f} between the least "
                    f"two seen and {last:.2f} between the largest two, and such a bend makes the runs "
                    f"{min(odds, 1e6):,.0f} times more probable; the forecast goes on from there, and its interval is "
                    "wider for it"
                )
        if self.batch_size is None:
            found.append("the best batch size lies among those tried in fewer than 3 groups, so none is planned")
        elif not self.tried[0] <= self.batch_size.value <= self.tried[1]:
            found.append(f"the batch size lies outside of {self.tried[0]:g} to {self.tried[1]:g}, which were tried")
        if (told := self.next_run) is not None:
            found.append(told)
        for name, value, rule in self.companions:
            by_rule = "the runs do not tell one that a rule could move" if value is None else f"{value:.3g} by a rule"
            found.append(f"{name}: not determined by the runs; {by_rule} ({rule})")
        return found

    @property
    def _place(self) -> Floats:
        return centred([self.at[axis.name] for axis in self.axes], self.axes)

    def _rate(self, batch_size: float) -> Predicted:
        return self.rates(np.array([batch_size]))

    def rates(self, batch_sizes: Floats) -> Predicted:
        """log₂ of the best rate of the run asked for at batch sizes (n,)."""
        return self.fitted.rate(self._place, np.log2(batch_sizes))

    def name_of(self, group: Group) -> str:
        """What a group has, such as "tokens 4e+09, parameters 2.1e+08"."""
        values = 2 ** (group.at + [axis.middle for axis in self.axes])
        return ", ".join(f"{axis.name} {value:.2g}" for axis, value in zip(self.axes, values, strict=True))

    def _interval(self, predicted: Predicted) -> Interval:
        low, high = predicted.interval(self.alpha)
        return Interval(float(2 ** predicted.mean[0]), float(2 ** low[0]), float(2 ** high[0]))

    @property
    def _longer(self) -> float | None:
        """The horizon asked for over that of the nearest group; None where all groups have one."""
        for axis, asked, nearest in zip(self.axes, self._place, self._nearest_group.at, strict=True):
            if axis.name != "parameters":
                return float(2 ** (asked - nearest))
        return None

    @property
    def _nearest_group(self) -> Group:
        return min(self.fitted.groups, key=lambda group: float(np.abs(group.at - self._place).sum()))

    @staticmethod
    def _best_pair(group: Group) -> tuple[float, float]:
        """The best batch size and its best rate."""
        best = int(group.optima.lowest.argmin())
        return float(2 ** group.optima.batch_size[best]), float(2 ** group.optima.best[best])
