"""The law of a study or table: how the best learning rate moves with the batch size."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from batchlaw.errors import BatchlawError, StudyError
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.interval import Interval
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import plain
from batchlaw.results.ranking import best_first, best_per
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.spec import StudySpec, extremes, levels_of
from batchlaw.spec.families import FAMILIES
from batchlaw.stats.curves import MCCANDLISH, SURGE, Curve
from batchlaw.stats.law import FittedLaw, law_of
from batchlaw.stats.noise import NoiseScale, simple_noise_scale
from batchlaw.stats.optimum import Ridge, ridge
from batchlaw.stats.slope import shortfall
from batchlaw.stats.smoothed import FEWEST_POINTS, scattered_ridge
from batchlaw.stats.surface import Floats, Surface

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.storage import StoredStudy

Grade = Literal["designed", "replicated", "fitted"]
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
            searched study: a curve through single runs, which is a guide and tests nothing.
        lack: what is missing for a law; None where there is one.
        strata: the law of every stratum.
        records: the trials of the stratum; none of a table.
        ridge: ε_opt at each batch size.
        surface: the scores, the batch size given and the learning rate tuned; None of a searched study.
        fitted: the curves.
        noise_scale: the gradient noise scale that was measured in training.
    """

    title: str
    stratum: dict[str, Any]
    grade: Grade
    lack: str | None
    strata: tuple["Law", ...] = ()
    records: tuple[TrialRecord, ...] = ()
    ridge: Ridge | None = None
    surface: Surface | None = None
    fitted: FittedLaw | None = None
    noise_scale: NoiseScale | None = None

    @property
    def name(self) -> str:
        """The stratum, for people; empty where there is one only."""
        return ", ".join(f"{key} {value}" for key, value in self.stratum.items())

    @property
    def exponent(self) -> float | None:
        """The slope of log ε_opt on log B, of a straight line; None where there is no law."""
        return self.fitted.exponent.slope if self.fitted else None

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
        """Where the curve bends, in examples; None where a straight line predicts as well."""
        if self.fitted is None or not self.fitted.fit.curve.bends:
            return None
        bend = self.fitted.critical_batch_size
        assert bend.ci_low is not None and bend.ci_high is not None  # else the line would be preferred
        return Interval(bend.value, bend.ci_low, bend.ci_high)

    @property
    def levels(self) -> "pd.DataFrame":
        """The best learning rate at each batch size, a row each.

        Columns: batch_size; best, low and high (NaN where the runs do not tell), and status, as in
        `batchlaw.Claim.levels`; predicted, predicted_low and predicted_high, the learning rate by the curve.
        """
        import pandas as pd  # which a search does without

        rows = []
        for row in self.ridge.rows("batch_size", "best") if self.ridge else ():
            best = row["best"] if row["status"] == "identified" else None
            told = {"batch_size": row["batch_size"], "best": best, "low": row["ci_low"], "high": row["ci_high"]}
            predicted = self.fitted.predict(row["batch_size"]) if self.fitted else (None, None, None)
            rows.append(told | {"status": row["status"]} | dict(zip(_PREDICTED, predicted, strict=True)))
        frame = pd.DataFrame(rows, columns=["batch_size", "best", "low", "high", "status", *_PREDICTED])
        return frame.astype({name: float for name in frame.columns if name != "status"})

    def predict(self, batch_size: float, *, extrapolate: bool = False) -> Interval:
        """The best learning rate at a batch size, and the interval in which an optimum measured there would lie.

        Args:
            batch_size: in examples.
            extrapolate: allow batch sizes outside of those between which optima were identified.

        Raises:
            BatchlawError: there is no law, or the batch size lies outside.
        """
        if self.fitted is None:
            raise BatchlawError(f"there is no law to predict by: {self.lack}")
        low, high = self.fitted.seen
        if not (extrapolate or low <= batch_size <= high) or batch_size <= 0:
            raise BatchlawError(
                f"must be from {low:g} to {high:g}, where the law was seen",
                argument="batch_size", got=batch_size, remedy="extrapolate",
            )  # fmt: skip
        return Interval(*self.fitted.predict(batch_size))

    def lines(self) -> list[str]:
        """What it says, for people."""
        law = self.fitted
        if law is None:
            return [f"no law: {self.lack}"]
        exponent, bend, (low, high) = law.exponent, law.critical_batch_size, law.seen
        missed = ", ".join(f"{name} to {error:.2f} octaves" for name, error in law.errors.items())
        lines = [
            f"{law.fit.curve.formula}, seen from batch size {low:g} to {high:g}; one left out is predicted by {missed}",
            f"exponent of a straight line {exponent.slope:.2f} [{exponent.ci_low:.2f}, {exponent.ci_high:.2f}]",
        ]
        if law.fit.curve.bends:
            lines.append(f"critical batch size {bend.value:.3g} [{bend.ci_low:.3g}, {bend.ci_high:.3g}]")
        elif bend.ci_low is not None and bend.ci_high is None:
            lines.append(f"no bend seen: a critical batch size would be {bend.ci_low:.3g} or more")
        if self.noise_scale:
            noise = self.noise_scale
            lines.append(
                f"gradient noise scale in training {noise.value:.3g} [{noise.ci_low:.3g}, {noise.ci_high:.3g}]"
            )
        if self.grade == "fitted":
            lines.append("searched trials are a guide to a law and do not test it")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the attributes, the curve that bends as `bend`, and how well each curve predicts."""
        names = ("title", "stratum", "grade", "exponent", "low", "high", "curve", "formula", "lack")
        critical, law = self.critical_batch_size, self.fitted
        record = {name: getattr(self, name) for name in names} | {
            "critical_batch_size": asdict(critical) if critical else None,
            "levels": self.levels.to_dict("records"),
            "noise_scale": asdict(self.noise_scale) if self.noise_scale else None,
            "seen": dict(zip(("low", "high"), law.seen, strict=True)) if law else None,
            "bend": {"curve": law.bent.curve.name, **asdict(law.critical_batch_size)} if law else None,
            "prediction_error_octaves": law.errors if law else None,
            "scatter_octaves": law.fit.scatter if law else None,
        }
        told: dict[str, Any] = plain(record)
        return told | ({"strata": [law.as_dict() for law in self.strata]} if self.strata else {})

    def __repr__(self) -> str:
        return "\n  ".join([self._heading, *self.lines(), *self._others])

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, [*self.lines(), *self._others], self.levels)

    @property
    def _heading(self) -> str:
        found = "none" if self.fitted is None else f"exponent {self.exponent:.2f} [{self.low:.2f}, {self.high:.2f}]"
        return f"Law of {', '.join(filter(None, (self.title, self.name)))}: {found} ({self.grade})"

    @property
    def _others(self) -> list[str]:
        return [law._heading for law in self.strata if law.stratum != self.stratum]


def with_strata(laws: Sequence[Law], score_of: Callable[[Law], float]) -> Law:
    """The law of the stratum with the best score, if it has one, with the laws of all strata."""
    best = max([law for law in laws if law.fitted] or laws, key=score_of)
    return replace(best, strata=tuple(laws))


def laws_of(spec: StudySpec, records: list[TrialRecord], *, seed: int = 0) -> list[Law]:
    """The law of each stratum, with the reason where there is none.

    A designed study gives its surfaces. Of a search the completed trials of each optimizer are taken as they lie, which
    makes a guide and no verdict.

    Raises:
        StudyError: cells of a designed study have not been run, or it has too few learning rates.
    """
    if spec.claim is None:
        return [_of_trials(spec, str(family), records, seed) for family in extremes(spec.space.optimizer)]
    if len(levels_of(spec.space.base_lr)) < 3 or len(levels_of(spec.space.batch_size)) < 3:
        raise StudyError(f"study {spec.name!r} has too few learning rates or batch sizes for a law; 3 of each or more")
    from batchlaw.claims.designed import surfaces_of  # pandas, which a search does without
    from batchlaw.claims.runs import runs_of, varied_factors

    laws = []
    parts = _strata(records, spec, [name for name in varied_factors(spec) if name not in ("batch_size", "base_lr")])
    for stratum, surface in surfaces_of(spec, runs_of(spec, records), "lr"):
        # The same draws as for the slope of ε_opt(B) in `claim`.
        _, generator = np.random.default_rng(seed).spawn(2)
        found = ridge(surface.transposed(), generator, alpha=spec.claim.alpha)
        laws.append(_law(spec, stratum, parts[tuple(stratum.items())], found, surface.transposed()))
    return laws


def law_of_study(stored: "StoredStudy", *, bootstrap_seed: int = 0) -> Law:
    """The law of a study, of the stratum with the best trial.

    Args:
        stored: a designed study, or a searched one, whose law is a guide.
        bootstrap_seed: of the bootstraps, 0 or more.

    Raises:
        StudyError: cells of a designed study have no result, or it has too few learning rates or batch sizes.
    """
    spec = stored.spec
    return with_strata(laws_of(spec, records_of(stored), seed=bootstrap_seed), best_score(spec))


def best_score(spec: StudySpec) -> Callable[[Law], float]:
    """By which the strata of a study are compared, higher is better."""
    sign = 1 if spec.direction == "maximize" else -1

    def score(law: Law) -> float:
        best = best_first(law.records, spec.direction)
        return sign * (best[0].value or 0.0) if best else -float("inf")

    return score


def known_laws(spec: StudySpec, records: list[TrialRecord]) -> list[Law]:
    """The laws, or none of a study that is too small for one or has cells to go."""
    try:
        return laws_of(spec, records)
    except StudyError:
        return []


def _strata(
    records: list[TrialRecord], spec: StudySpec, names: list[str]
) -> dict[tuple[tuple[str, Any], ...], list[TrialRecord]]:
    """Records by the levels of the further factors as suggested; what is derived may differ (adam has no momentum)."""
    parts: dict[tuple[tuple[str, Any], ...], list[TrialRecord]] = {}
    for record in records:
        if record.config:
            point = point_of(record.params, spec.space)
            parts.setdefault(tuple((name, getattr(point, name)) for name in names), []).append(record)
    return parts


def _of_trials(spec: StudySpec, family: str, records: list[TrialRecord], seed: int) -> Law:
    stratum = {"optimizer": family} if len(extremes(spec.space.optimizer)) > 1 else {}
    part = [record for record in records if record.config and record.config.optimizer == family]
    complete = [record for record in part if record.outcome == Outcome.COMPLETE and record.value is not None]
    sign = 1 if spec.direction == "maximize" else -1
    found = None
    if len(complete) >= FEWEST_POINTS:
        found = scattered_ridge(
            np.array([record.known_config.batch_size for record in complete], dtype=float),
            np.array([record.known_config.peak_lr for record in complete]),
            np.array([sign * (record.value or 0.0) for record in complete]),
            np.random.default_rng(seed),
        )
    if found is None:
        lack = f"{len(complete)} completed trials; a law needs {FEWEST_POINTS} or more, three or more at a batch size"
        return Law(
            title=spec.name, stratum=stratum, grade="fitted", lack=lack, records=tuple(part),
            noise_scale=_noise_scale(part, spec.direction),
        )  # fmt: skip
    return _law(spec, stratum, part, found, None)


def _law(
    spec: StudySpec, stratum: dict[str, Any], part: list[TrialRecord], found: Ridge, surface: Surface | None
) -> Law:
    family = str(stratum.get("optimizer", extremes(spec.space.optimizer)[0]))
    lack, alpha = shortfall(found), spec.claim.alpha if spec.claim else 0.05
    return Law(
        title=spec.name, stratum=stratum, grade="designed" if spec.claim else "fitted", lack=lack, records=tuple(part),
        ridge=found, surface=surface, fitted=None if lack else law_of(found, bending(family), alpha=alpha),
        noise_scale=_noise_scale(part, spec.direction),
    )  # fmt: skip


def bending(family: str) -> Curve:
    """The curve that bends, for an optimizer: surge, derived for Adam, where it has a second moment (assumption)."""
    return SURGE if FAMILIES[family].second_moment else MCCANDLISH


def _noise_scale(records: list[TrialRecord], direction: str) -> NoiseScale | None:
    """B_simple over the best run of each batch size, where it was measured; it is another early in a run than late."""
    bests = best_per(best_first(records, direction), "batch_size")
    curves = [[point.metrics for point in record.result.curve] for record in bests]
    curves = [curve for curve in curves if any("gradient_norm2" in metrics for metrics in curve)]
    if not curves:
        return None
    longest = max(map(len, curves))

    def column(name: str) -> Floats:
        return np.array([[m.get(name, np.nan) for m in curve] + [np.nan] * (longest - len(curve)) for curve in curves])

    return simple_noise_scale(column("gradient_norm2"), column("gradient_variance"))
