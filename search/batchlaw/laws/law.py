"""The law of a study: how its best learning rate moves with the batch size, for each optimizer."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from batchlaw.errors import StudyError
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.ranking import best_first, best_per
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec, extremes, levels_of
from batchlaw.spec.families import FAMILIES
from batchlaw.stats.curves import MCCANDLISH, SURGE
from batchlaw.stats.law import Law, law_of
from batchlaw.stats.noise import NoiseScale, simple_noise_scale
from batchlaw.stats.optimum import Ridge, ridge
from batchlaw.stats.slope import shortfall
from batchlaw.stats.smoothed import FEWEST_POINTS, scattered_ridge
from batchlaw.stats.surface import Floats, Surface


@dataclass(frozen=True, eq=False)
class StudyLaw:
    """Of one stratum: an optimizer, or a combination of the further factors of a designed study."""

    stratum: dict[str, Any]
    arm: Literal["search", "claim"]
    records: tuple[TrialRecord, ...]  # of the stratum
    ridge: Ridge | None  # ε_opt at each batch size
    surface: Surface | None  # of a designed study: the batch size given, the peak rate tuned
    law: Law | None
    lack: str | None  # what is missing for one
    noise_scale: NoiseScale | None  # measured in training

    @property
    def name(self) -> str:
        """For people; empty where the study is one stratum."""
        return ", ".join(f"{key} {value}" for key, value in self.stratum.items())

    def lines(self) -> list[str]:
        """What it says, for people."""
        law = self.law
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
        if self.arm == "search":
            lines.append("searched trials are a guide to a law, and no test of it")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        record: dict[str, Any] = {
            "stratum": self.stratum,
            "arm": self.arm,
            "decides": self.arm == "claim",  # searched trials are a guide
            "lack": self.lack,
            "per_batch_size": self.ridge.rows("batch_size", "lr_opt") if self.ridge else [],
            "noise_scale": _finite(asdict(self.noise_scale)) if self.noise_scale else None,
        }
        if self.law is None:
            return record | {"law": None}
        law, exponent = self.law, self.law.exponent
        low, high = law.seen
        return record | {
            "law": {
                "curve": law.fit.curve.name,
                "formula": law.fit.curve.formula,
                "exponent": {"value": exponent.slope, "ci_low": exponent.ci_low, "ci_high": exponent.ci_high},
                "critical_batch_size": asdict(law.critical_batch_size),
                "critical_batch_size_of": law.bent.curve.name,
                "prediction_error_octaves": _finite(law.errors),
                "scatter_octaves": law.fit.scatter,
                "seen": {"low": low, "high": high},
                "predicted": [
                    dict(zip(("batch_size", "lr", "ci_low", "ci_high"), (b, *law.predict(b)), strict=True))
                    for b in law.ridge.given.tolist()
                ],
            }
        }


def laws_of(spec: StudySpec, records: list[TrialRecord], *, seed: int = 0) -> list[StudyLaw]:
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


def known_laws(spec: StudySpec, records: list[TrialRecord]) -> list[StudyLaw]:
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


def _of_trials(spec: StudySpec, family: str, records: list[TrialRecord], seed: int) -> StudyLaw:
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
        return StudyLaw(stratum, "search", tuple(part), None, None, None, lack, _noise_scale(part, spec.direction))
    return _law(spec, stratum, part, found, None)


def _law(
    spec: StudySpec, stratum: dict[str, Any], part: list[TrialRecord], found: Ridge, surface: Surface | None
) -> StudyLaw:
    lack = shortfall(found)
    # Surge is derived for Adam and tried on it; RMSprop shares its second moment (assumption).
    family = stratum.get("optimizer", extremes(spec.space.optimizer)[0])
    alpha = spec.claim.alpha if spec.claim else 0.05
    law = None if lack else law_of(found, SURGE if FAMILIES[family].second_moment else MCCANDLISH, alpha=alpha)
    return StudyLaw(
        stratum,
        "claim" if spec.claim else "search",
        tuple(part),
        found,
        surface,
        law,
        lack,
        _noise_scale(part, spec.direction),
    )


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


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no infinity and no NaN."""
    return {key: value if np.isfinite(value) else None for key, value in values.items()}
