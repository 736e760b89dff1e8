"""The critical batch size, from the steps or examples that runs took to a target at each batch size."""

from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import name_of, plain
from batchlaw.stats.hyperbola import FEWEST, Bounded, Hyperbola
from batchlaw.stats.surface import Bools, Floats

if TYPE_CHECKING:
    import pandas as pd

Basis = Literal["tuned rates", "chosen rates", "rates not told"]
_BASIS: dict[Basis, str] = {
    "tuned rates": "the fewest of the learning rates tried at a batch size",
    "chosen rates": "rests on chosen rates: one learning rate was run at each batch size, so that what a rate tuned "
    "there would save counts as the batch size's",
    "rates not told": "the runs tell no learning rate: taken as the fewest steps of tuned rates",
}
_POOR = 0.05  # p-value of the lack of fit below which it is told


@dataclass(frozen=True, eq=False)
class Series:
    """Steps to one target against batch size, with the hyperbola through them.

    Attributes:
        group: what tells it from others, such as {"model": "85M"}; empty where it is the only one.
        batch_size: (n,).
        steps: (n,) the fewest, the geometric mean over seeds; where the target is not reached, the steps that were run.
        examples: (n,) steps × batch size, or in the unit of the table such as epochs.
        error: (n,) standard error of the natural logarithm of steps; NaN where there is one run.
        lr: (n,) of the fewest steps; NaN where it is not known.
        reached: (n,).
        basis: whether learning rates were tuned at each batch size.
        unit: of `examples`, as the table calls it; None where they are examples.
        fitted: the hyperbola; None where fewer than three batch sizes reach the target.
        overhead: the share and the batch size of the other definition; see `Hyperbola.overhead`.
        degrees_of_freedom: of the errors together.
        notes: sentences on this series.
    """

    group: dict[str, Any]
    batch_size: Floats
    steps: Floats
    examples: Floats
    error: Floats
    lr: Floats
    reached: Bools
    basis: Basis
    unit: str | None
    fitted: Hyperbola | None
    overhead: tuple[float, float]
    degrees_of_freedom: int = 0
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The group, for people; empty where there is one only."""
        return name_of(self.group)

    @property
    def critical_batch_size(self) -> Bounded:
        """E_min/S_min of the hyperbola."""
        return self.fitted.critical if self.fitted else Bounded(None, None, None)

    @property
    def overhead_batch_size(self) -> Bounded:
        """Where steps exceed perfect scaling by the share of `overhead`."""
        return self.fitted.overhead(*self.overhead) if self.fitted else Bounded(None, None, None)

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of the figures, as sentences."""
        found = list(self.notes)
        if self.fitted is None:
            return [f"{int(self.reached.sum())} batch sizes reach the target; a hyperbola needs {FEWEST}", *found]
        if (p := self.fitted.lack_of_fit) is not None and p < _POOR:
            found.append(
                f"the runs leave the hyperbola by more than their noise (p = {p:.1g}), which the intervals allow for"
            )
        tried, critical = self.batch_size[self.reached], self.critical_batch_size.value
        if critical is not None and not tried.min() <= critical <= tried.max():
            where = "below" if critical < tried.min() else "above"
            found.append(
                f"E_min/S_min lies {where} the batch sizes that were run, {tried.min():g} to {tried.max():g}: "
                "there the form of the hyperbola is assumed"
            )
        return found

    @property
    def lines(self) -> list[str]:
        """What it says, as sentences."""
        share, start = self.overhead
        told = [
            f"critical batch size E_min/S_min {self.critical_batch_size}",
            f"{share:.0%} above perfect scaling from {start:g}: batch size {self.overhead_batch_size}",
        ]
        return [*(told if self.fitted else ()), *self.remarks]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = self.fitted
        share, start = self.overhead
        columns = {
            "batch_size": self.batch_size, "steps": self.steps, "examples": self.examples,
            "standard_error_of_log": self.error, "lr": self.lr, "reached": self.reached,
        }  # fmt: skip
        points = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        of_examples = self.unit is None
        record: dict[str, Any] = plain({
            "group": self.group, "critical_batch_size": asdict(self.critical_batch_size),
            "overhead_batch_size": {"share": share, "from": start, **asdict(self.overhead_batch_size)},
            "steps_min": asdict(told.steps_min) if told and of_examples else None,
            "examples_min": asdict(told.examples_min) if told else None, "examples_unit": self.unit or "examples",
            "basis": self.basis, "rests_on": _BASIS[self.basis], "deviation": told and told.deviation,
            "lack_of_fit": told and told.lack_of_fit, "points": points, "notes": self.remarks,
        })  # fmt: skip
        return record


class Measured(NamedTuple):
    """The critical batch size by another way than steps to a target."""

    way: str  # such as "bend of the law"
    where: str  # such as "after 4000 examples"; empty for all of training
    batch_size: Bounded
    note: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Critical:
    """The critical batch size of each series of runs to a target.

    Attributes:
        title: of the runs.
        series: one for each target, model or other group.
        alpha: one less the confidence of every interval.
        notes: sentences on what was left out.
        read: which columns of a table were recognised, in one line.
        measured: of a study, the critical batch size by other ways.
    """

    title: str
    series: tuple[Series, ...]
    alpha: float
    notes: tuple[str, ...] = ()
    read: str = ""
    measured: tuple[Measured, ...] = ()

    @property
    def ways(self) -> "pd.DataFrame":
        """A row each way and place: steps to each target, branches, the bend of the law, the noise scale."""
        import pandas as pd

        steps = [Measured("steps to a target", each.name, each.critical_batch_size) for each in self.series]
        rows = [(each.way, each.where, *astuple(each.batch_size), each.note) for each in (*steps, *self.measured)]
        return pd.DataFrame(rows, columns=["way", "where", "batch_size", "low", "high", "note"])

    @property
    def table(self) -> "pd.DataFrame":
        """A row each series: both definitions with their intervals (NaN where open), and what they rest on."""
        import pandas as pd  # which a search does without

        rows = []
        for each in self.series:
            one, other = each.critical_batch_size, each.overhead_batch_size
            rows.append({
                **each.group, "critical_batch_size": one.value, "low": one.low, "high": one.high,
                "overhead_batch_size": other.value, "overhead_low": other.low, "overhead_high": other.high,
                "basis": each.basis,
            })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def bases(self) -> list[str]:
        """On what the series rest, as sentences."""
        return list(dict.fromkeys(_BASIS[each.basis] for each in self.series))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; with one series its fields stand at the top as well."""
        series = [each.as_dict() for each in self.series]
        only = series[0] if len(series) == 1 else {}
        return {
            **only, "title": self.title, "alpha": self.alpha, "series": series, "notes": list(self.notes),
            "read": self.read, "ways": plain(self.ways.to_dict("records")),
        }  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{each.name or self.title}: {'; '.join(each.lines)}" for each in self.series]
        return "\n  ".join([f"Critical batch size of {self.title}", *lines, *self.bases])

    def _repr_html_(self) -> str:
        return notebook_html(f"Critical batch size of {self.title}", self.bases, self.table)
