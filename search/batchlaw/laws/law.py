"""The law of a study or table: how the best learning rate moves with the batch size."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any

from batchlaw.errors import BatchlawError
from batchlaw.results.interval import Interval
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import name_of, plain
from batchlaw.results.records import TrialRecord
from batchlaw.results.sharing import Sharing, lines_of
from batchlaw.spec.families import FAMILIES
from batchlaw.stats.curves import MCCANDLISH, SURGE, Curve
from batchlaw.stats.fitted_surface import FittedSurface
from batchlaw.stats.law import FittedLaw
from batchlaw.stats.noise import NoiseScale
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.pooling import Pooled, pool_slopes
from batchlaw.stats.surface import Surface

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.claims.observed import Observed
    from batchlaw.claims.over import Moves
    from batchlaw.claims.verdict import Grade

_PREDICTED = ("predicted", "predicted_low", "predicted_high")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Law:
    """How the best learning rate ε_opt moves with the batch size B, in one stratum of a study or table.

    A stratum is an optimizer, or a combination of a study's further factors, or a group of a table. The law of a study
    or table with several is that of the stratum with the best score; `strata` has them all.

    Attributes:
        title: the name of the study or file.
        stratum: what tells it from the others, such as {"optimizer": "adam"}; empty where it is the only one.
        grade: "designed" for a designed study, "replicated" for a table of runs with several seeds, "fitted" for a
            table of single runs or a searched study: a smooth surface stands for the replicates, "observed" for runs
            that are too few for these.
        lack: what is missing for a law; None where there is one.
        alpha: one less the confidence of every interval.
        strata: the law of every stratum.
        records: the trials of the stratum; none of a table.
        ridge: ε_opt at each batch size.
        surface: the scores, the batch size given and the learning rate tuned; None without replicates.
        smooth: the surface through the single runs of a table.
        observed: what the runs of a table show where there is no law; may change between versions.
        pooled: the exponents of three strata or more put together.
        moves: how optima move with the columns that were named by `over`; `moves.exponents` is a DataFrame.
        fitted: the curves.
        noise_scale: the gradient noise scale that was measured in training.
        sharing: what several devices gain at each batch size, by the latest profile of a study that measured it.
        notes: of a table: sentences on what is missing, diverged, left out or merged in it.
        read: which columns of a table were recognised by their names, in one line; empty where all were named.
    """

    title: str
    stratum: dict[str, Any]
    grade: "Grade"
    lack: str | None
    alpha: float = 0.05
    strata: tuple["Law", ...] = ()
    records: tuple[TrialRecord, ...] = ()
    ridge: Ridge | None = None
    surface: Surface | None = None
    smooth: FittedSurface | None = None
    observed: "Observed | None" = None
    pooled: Pooled | None = None
    moves: "Moves | None" = None
    fitted: FittedLaw | None = None
    noise_scale: NoiseScale | None = None
    sharing: tuple[Sharing, ...] = ()
    notes: tuple[str, ...] = ()
    read: str = ""

    @property
    def name(self) -> str:
        """The stratum, for people; empty where there is one only."""
        return name_of(self.stratum)

    @property
    def exponent(self) -> float | None:
        """The slope of log ε_opt on log B, of a straight line; None where there is no law.

        Where only its interval is known this is the middle, or None where that is more than 2 wide.
        """
        found = self.fitted.exponent if self.fitted else None
        return None if found is None or found.undetermined else found.slope

    @property
    def low(self) -> float | None:
        """The lower end of the exponent's interval."""
        return self.fitted.exponent.ci_low if self.fitted else None

    @property
    def high(self) -> float | None:
        """The upper end of the exponent's interval."""
        return self.fitted.exponent.ci_high if self.fitted else None

    @property
    def curve(self) -> str | None:
        """The name of the curve that predicts: a straight line, unless one that bends predicts better."""
        return self.fitted.fit.curve.name if self.fitted else None

    @property
    def formula(self) -> str | None:
        """The formula of the curve, of ε in terms of B."""
        return self.fitted.fit.curve.formula if self.fitted else None

    @property
    def critical_batch_size(self) -> Interval | None:
        """Where the curve bends, in examples; None where a straight line predicts as well, or divergence bends it."""
        if self.fitted is None or not self.fitted.fit.curve.bends or self.fitted.unstable_bend:
            return None
        bend = self.fitted.critical_batch_size
        assert bend and bend.ci_low is not None and bend.ci_high is not None  # else the line would be preferred
        return Interval(bend.value, bend.ci_low, bend.ci_high)

    @property
    def levels(self) -> "pd.DataFrame":
        """The best learning rate at each batch size, a row each.

        Columns: batch_size; best, low and high (NaN where the runs do not tell), and status, as in
        `batchlaw.Claim.levels`; predicted, predicted_low and predicted_high, as by `predict`. They are NaN
        where no rate trains, where no run has a score, and beyond what was seen if the exponent is not determined.
        """
        import pandas as pd  # which a search does without

        rows = []
        for row in self.ridge.rows("batch_size", "best") if self.ridge else ():
            best = row["best"] if row["status"] == "identified" else None
            told = {"batch_size": row["batch_size"], "best": best, "low": row["ci_low"], "high": row["ci_high"]}
            predicted: tuple[float | None, ...] = (None, None, None)
            trains = row["status"] not in ("diverged", "missing")
            if self.fitted and trains and self.fitted.reaches(row["batch_size"]):
                predicted = self.fitted.predict(row["batch_size"])
            rows.append(told | {"status": row["status"]} | dict(zip(_PREDICTED, predicted, strict=True)))
        frame = pd.DataFrame(rows, columns=["batch_size", "best", "low", "high", "status", *_PREDICTED])
        return frame.astype({name: float for name in frame.columns if name != "status"})

    def predict(self, batch_size: float, *, extrapolate: bool = False) -> Interval:
        """The best learning rate at a batch size, and the interval in which an optimum measured there would lie.

        No rate is predicted above those that train at the nearest batch sizes. The interval may reach beyond the last
        of them, up to the first that diverges.

        Args:
            batch_size: in examples.
            extrapolate: allow batch sizes outside of those whose optima are bounded on both sides.

        Raises:
            BatchlawError: there is no law, or the batch size lies outside, to where no exponent leads.
        """
        if self.fitted is None:
            raise BatchlawError(f"there is no law to predict by: {self.lack}")
        low, high = self.fitted.seen
        if not isinstance(batch_size, Real) or not isfinite(batch_size):
            raise BatchlawError("must be a number of examples", argument="batch_size", got=batch_size)
        if not (extrapolate or low <= batch_size <= high) or batch_size <= 0:
            raise BatchlawError(
                f"must be from {low:g} to {high:g}, where the law was seen",
                argument="batch_size", got=batch_size, remedy="extrapolate",
            )  # fmt: skip
        if not self.fitted.reaches(batch_size):
            raise BatchlawError(
                f"must be from {low:g} to {high:g}: the exponent is not determined",
                argument="batch_size",
                got=batch_size,
            )
        return Interval(*self.fitted.predict(batch_size))

    def lines(self) -> list[str]:
        """What it says, for people."""
        law = self.fitted
        if law is None:
            return [
                f"no law: {self.lack}",
                *(f"seen: {each}" for each in (self.observed.sentences if self.observed else ())),
                *lines_of(self.sharing),
            ]
        exponent, bend, (low, high) = law.exponent, law.critical_batch_size, law.seen
        missed = ", ".join(f"{name} to {error:.2f} octaves" for name, error in law.errors.items())
        left_out = f"; one left out is predicted by {missed}" if missed else ""
        lines = [f"{law.fit.curve.formula}, seen from batch size {low:g} to {high:g}{left_out}"]
        if exponent.undetermined:
            ends = f"{exponent.ci_low:.2f} to {exponent.ci_high:.2f}"
            lines.append(f"the exponent is not determined: the sets in which the best rates lie allow {ends}")
        elif exponent.bounded:
            why = "the curves of the batch sizes differ in shape" if self._reshaped else "few best rates are known"
            lines.append(
                f"exponent of a straight line between {exponent.ci_low:.2f} and {exponent.ci_high:.2f}: {why}, and it "
                "is only bounded, by the sets in which the best rates lie"
            )
        else:
            ends = f"[{exponent.ci_low:.2f}, {exponent.ci_high:.2f}]"
            lines.append(f"exponent of a straight line {exponent.slope:.2f} {ends}")
        if law.unstable_bend:
            lines.append(
                "the curve bends where the best rates leave the edge of divergence, or reach it: that is no critical "
                "batch size"
            )
        elif bend is not None and law.fit.curve.bends:
            lines.append(f"critical batch size {bend.value:.3g} [{bend.ci_low:.3g}, {bend.ci_high:.3g}]")
        elif bend is not None and bend.ci_low is not None and bend.ci_high is None:
            lines.append(f"no bend seen: a critical batch size would be {bend.ci_low:.3g} or more")
        if self.noise_scale:
            noise = self.noise_scale
            lines.append(
                f"gradient noise scale in training {noise.value:.3g} [{noise.ci_low:.3g}, {noise.ci_high:.3g}]"
            )
        if self.smooth is not None:
            lines.append(f"by a smooth surface through single runs, whose deviation from it is {self.smooth.noise:.2g}")
            if self.smooth.guide:
                lines.append(f"this is a guide and no test: {self.smooth.guide}")
        elif self.grade == "fitted":
            lines.append("searched trials are a guide to a law and do not test it")
        return lines + lines_of(self.sharing)

    @property
    def _reshaped(self) -> bool:
        return self.ridge is not None and not self.ridge.copies

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes, the curve that bends as `bend`, and how well each curve predicts.

        `bounded` says that nothing is known of the exponent but the ends of its interval.
        """
        names = ("title", "stratum", "grade", "exponent", "low", "high", "curve", "formula", "lack", "notes", "read")
        critical, law = self.critical_batch_size, self.fitted
        bend = law.critical_batch_size if law else None
        record = {name: getattr(self, name) for name in names} | {
            "bounded": law.exponent.bounded if law else None,
            "critical_batch_size": asdict(critical) if critical else None,
            "levels": self.levels.to_dict("records"),
            "noise_scale": asdict(self.noise_scale) if self.noise_scale else None,
            "seen": dict(zip(("low", "high"), law.seen, strict=True)) if law else None,
            "bend": {"curve": law.bent.curve.name, **asdict(bend)} if law and law.bent and bend else None,
            "prediction_error_octaves": law.errors if law else None,
            "scatter_octaves": law.fit.scatter if law else None,
            "over": self.moves.exponents.to_dict("records") if self.moves else None,
            "pooled": asdict(self.pooled) if self.pooled else None,
            "noise": self.smooth.noise if self.smooth else None,
            "guide": self.smooth.guide if self.smooth else None,
            "observed": self.observed.as_dict() if self.observed else None,
        }
        told: dict[str, Any] = plain(record) | self.told_sharing
        return told | ({"strata": [law.as_dict() for law in self.strata]} if self.strata else {})

    @property
    def told_sharing(self) -> dict[str, Any]:
        """For JSON; empty where nothing is known of several devices."""
        return {"sharing": [each.as_dict() for each in self.sharing]} if self.sharing else {}

    def __repr__(self) -> str:
        return "\n  ".join([self._heading, *self.lines(), *self._others, *self.together, *self._noted])

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, [*self.lines(), *self._others, *self.together, *self._noted], self.levels)

    @property
    def _heading(self) -> str:
        found = "none"
        if self.fitted is not None:
            ends = f"[{self.low:.2f}, {self.high:.2f}]"
            found = f"exponent in {ends}" if self.fitted.exponent.bounded else f"exponent {self.exponent:.2f} {ends}"
        return f"Law of {', '.join(filter(None, (self.title, self.name)))}: {found} ({self.grade})"

    @property
    def together(self) -> list[str]:
        """The exponents of the strata put together, for people; empty with fewer than three."""
        moved = self.moves.lines() if self.moves else []
        if self.pooled is None:
            return moved
        found = self.pooled
        ends = f"{found.ci_low:.2f}, {found.ci_high:.2f}]"
        mean = f"exponent in [{ends}" if found.n_bounded else f"exponent {found.slope:.2f} [{ends}"
        further = f"{found.prediction_low:.2f} and {found.prediction_high:.2f}"
        return [*moved, f"{found.n_groups} laws together: {mean}; of a further one it lies between {further}"]

    @property
    def _noted(self) -> list[str]:
        return [*([f"read: {self.read}"] if self.read else ()), *(f"note: {note}" for note in self.notes)]

    @property
    def _others(self) -> list[str]:
        return [law._heading for law in self.strata if law.stratum != self.stratum]


def with_strata(laws: Sequence[Law], score_of: Callable[[Law], float]) -> Law:
    """The law of the stratum with the best score, if it has one, with the laws of all strata, and these together."""
    best = max([law for law in laws if law.fitted] or laws, key=score_of)
    exponents = [law.fitted.exponent for law in laws if law.fitted]
    return replace(best, strata=tuple(laws), pooled=pool_slopes(exponents, best.alpha))


def bending(family: str) -> Curve:
    """The curve that bends, for an optimizer: surge, derived for Adam, where it has a second moment (assumption)."""
    return SURGE if FAMILIES[family].second_moment else MCCANDLISH
