"""The laws of a stored study."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import StudyError
from batchlaw.laws.law import Law, bending, with_strata
from batchlaw.recipe.result import Outcome
from batchlaw.results.configuration import BestRate
from batchlaw.results.horizons import at_horizon
from batchlaw.results.order import best_first, best_per
from batchlaw.results.records import TrialRecord, known_trials
from batchlaw.results.step_time import profile_of_study
from batchlaw.spec import StudySpec, extremes, levels_of
from batchlaw.stats.law import law_of
from batchlaw.stats.noise import NoiseScale, simple_noise_scale
from batchlaw.stats.optimum import Ridge, ridge
from batchlaw.stats.smoothed import FEWEST_POINTS, scattered_ridge
from batchlaw.stats.surface import Floats, Surface

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy


def laws_of(
    spec: StudySpec,
    records: list[TrialRecord],
    *,
    ended: bool = False,
    seed: int = 0,
    of: Container[int] | None = None,
) -> list[Law]:
    """The law of each stratum, with the reason where there is none.

    A designed study has a surface for each stratum. A search has no grid: a curve is fitted to the completed trials of
    each optimizer, which is a guide and no test.

    Args:
        spec: the study.
        records: its trials.
        ended: whether no trial of it is left, so that cells without a result stay without.
        seed: of the draws of optima from their sets.
        of: numbers of trials, of whose strata alone a designed study's laws are wanted; None: of all.

    Raises:
        StudyError: cells of a designed study have not been run, it has too few learning rates, or its grid is
            staggered.
    """
    spec.require("a law", "base_lr", "batch_size")
    if spec.claim is None:
        return [_of_trials(spec, str(family), records, seed) for family in extremes(spec.space.optimizer)]
    if len(levels_of(spec.space.base_lr)) < 3 or len(levels_of(spec.space.batch_size)) < 3:
        raise StudyError(f"study {spec.name!r} has too few learning rates or batch sizes for a law; 3 of each or more")
    if spec.is_staggered:
        raise StudyError(
            f"study {spec.name!r} has a staggered grid; a law compares learning rates at one batch size, which needs "
            'grid = "crossed"'
        )
    from batchlaw.claims.planned import varied_factors
    from batchlaw.claims.runs import runs_of
    from batchlaw.claims.surfaces import surfaces_of  # pandas, which a search does without

    laws = []
    parts = _strata(records, spec, [name for name in varied_factors(spec) if name not in ("batch_size", "base_lr")])
    for stratum, surface in surfaces_of(spec, runs_of(spec, records, ended=ended), "lr"):
        part = parts[tuple(stratum.items())]
        if of is not None and not any(record.number in of for record in part):
            continue
        # The same draws as for the slope of ε_opt(B) in `claim`.
        _, generator = np.random.default_rng(seed).spawn(2)
        found = ridge(surface.transposed(), generator, alpha=spec.claim.alpha)
        laws.append(_law(spec, stratum, part, found, surface.transposed()))
    return laws


def law_of_study(stored: "StoredStudy", *, bootstrap_seed: int = 0, horizon: float | None = None) -> Law:
    """The law of a study, of the stratum with the best trial.

    Args:
        stored: a designed study, or a searched one, whose law is a guide.
        bootstrap_seed: of the draws of optima from their sets, 0 or more.
        horizon: the share of the budget at which the runs are read, one of `schedule.horizons`; None: the whole.

    Raises:
        StudyError: cells of a designed study have no result, or it has too few learning rates or batch sizes.
        BatchlawError: the study has no such horizon.
    """
    return with_strata(stored_laws(stored, bootstrap_seed, horizon), best_score(stored.spec))


def stored_laws(stored: "StoredStudy", seed: int, horizon: float | None = None) -> list[Law]:
    """The laws of a stored study, as `laws_of`, with what several devices gain by its latest profile."""
    stored, known = at_horizon(stored, known_trials(stored), horizon)
    spec = stored.spec
    laws = laws_of(spec, known.records, ended=known.ended, seed=seed)
    profile = profile_of_study(stored)
    if profile is None:
        return laws
    return [replace(law, sharing=profile.sharings(_family(spec, law.stratum))) for law in laws]


def best_score(spec: StudySpec) -> Callable[[Law], float]:
    """By which the strata of a study are compared, higher is better."""
    sign = 1 if spec.direction == "maximize" else -1

    def score(law: Law) -> float:
        best = best_first(law.records, spec.direction)
        return sign * (best[0].value or 0.0) if best else -float("inf")

    return score


def known_laws(
    spec: StudySpec, records: list[TrialRecord], *, ended: bool = False, of: Container[int] | None = None
) -> list[Law]:
    """The laws, as `laws_of`; none where it raises."""
    try:
        return laws_of(spec, records, ended=ended, of=of)
    except StudyError:
        return []


def best_rate(laws: Sequence[Law], trial: int, batch_size: int) -> BestRate | None:
    """Where the best peak learning rate lies at a batch size in the stratum of a trial; None without a ridge."""
    for law in laws:
        if law.ridge is not None and any(record.number == trial for record in law.records):
            for row in law.ridge.rows("batch_size", "best"):
                if row["batch_size"] == batch_size:
                    return BestRate(low=row["ci_low"], high=row["ci_high"], confidence=100 * (1 - law.alpha))
    return None


def _strata(
    records: list[TrialRecord], spec: StudySpec, names: list[str]
) -> dict[tuple[tuple[str, Any], ...], list[TrialRecord]]:
    """Records by their levels of the further factors as suggested; derived values may differ: adam has no momentum."""
    parts: dict[tuple[tuple[str, Any], ...], list[TrialRecord]] = {}
    for record in records:
        if record.config:
            point = record.point_in(spec)
            parts.setdefault(tuple((name, point.value_of(name)) for name in names), []).append(record)
    return parts


def _of_trials(spec: StudySpec, family: str, records: list[TrialRecord], seed: int) -> Law:
    stratum = {"optimizer": family} if len(extremes(spec.space.optimizer)) > 1 else {}
    part = [record for record in records if record.config and record.config.optimizer == family]
    complete = [record for record in part if record.outcome == Outcome.COMPLETE and record.value is not None]
    sign = 1 if spec.direction == "maximize" else -1
    found = None
    if len(complete) >= FEWEST_POINTS:
        scores = np.array([sign * (record.value or 0.0) for record in complete])
        diverged = [record for record in part if record.outcome == Outcome.DIVERGED]
        generator = np.random.default_rng(seed)
        found = scattered_ridge(*_places(complete), scores, generator, diverged=_places(diverged))
    if found is None:
        lack = f"{len(complete)} completed trials; a law needs {FEWEST_POINTS} or more, three or more at a batch size"
        return Law(
            title=spec.name, stratum=stratum, grade="fitted", lack=lack, records=tuple(part),
            noise_scale=_noise_scale(part, spec.direction),
        )  # fmt: skip
    return _law(spec, stratum, part, found, None)


def _places(records: list[TrialRecord]) -> tuple[Floats, Floats]:
    """The batch sizes and the peak learning rates of trials."""
    configs = [record.known_config for record in records]
    return np.array([config.batch_size for config in configs], float), np.array([config.peak_lr for config in configs])


def _family(spec: StudySpec, stratum: dict[str, Any]) -> str:
    """The optimizer of a stratum."""
    return str(stratum.get("optimizer", extremes(spec.space.optimizer)[0]))


def _law(
    spec: StudySpec, stratum: dict[str, Any], part: list[TrialRecord], found: Ridge, surface: Surface | None
) -> Law:
    family = _family(spec, stratum)
    lack, alpha = found.lack_of_law, spec.claim.alpha if spec.claim else 0.05
    return Law(
        title=spec.name, stratum=stratum, grade="designed" if spec.claim else "fitted", lack=lack, alpha=alpha,
        records=tuple(part), ridge=found, surface=surface, noise_scale=_noise_scale(part, spec.direction),
        fitted=None if lack else law_of(found, bending(family), alpha=alpha),
    )  # fmt: skip


def _noise_scale(records: list[TrialRecord], direction: str) -> NoiseScale | None:
    """The simple noise scale over the best run of each batch size, where it was measured."""
    bests = best_per(best_first(records, direction), "batch_size")
    curves = [[point.metrics for point in record.result.curve] for record in bests]
    curves = [curve for curve in curves if any("gradient_norm2" in metrics for metrics in curve)]
    if not curves:
        return None
    longest = max(map(len, curves))

    def column(name: str) -> Floats:
        return np.array([[m.get(name, np.nan) for m in curve] + [np.nan] * (longest - len(curve)) for curve in curves])

    return simple_noise_scale(column("gradient_norm2"), column("gradient_variance"))
