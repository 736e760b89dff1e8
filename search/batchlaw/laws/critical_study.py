"""The critical batch size of a designed study: steps to its targets, the bend of its law, and its noise scale."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from batchlaw.errors import StudyError
from batchlaw.laws.critical import Critical, Measured, Series
from batchlaw.laws.law import with_strata
from batchlaw.laws.steps_to_target import OVERHEAD, OVERHEAD_FROM, perfect_from
from batchlaw.laws.studies import best_score, laws_of
from batchlaw.results.records import known_trials
from batchlaw.stats.hyperbola import Bounded

if TYPE_CHECKING:
    from batchlaw.claims.to_target import ToTarget
    from batchlaw.storage import StoredStudy


def critical_of_study(stored: "StoredStudy") -> Critical:
    """The critical batch size in three ways.

    Raises:
        StudyError: the study was searched, cells have no result, or losses were not recorded at the reports.
    """
    from batchlaw.claims.runs import runs_of
    from batchlaw.claims.to_target import to_targets

    spec, known = stored.spec, known_trials(stored)
    if spec.claim is None:
        raise StudyError(f"study {spec.name!r} was searched; steps to a target need a designed study with H20")
    alpha = spec.claim.alpha
    runs = runs_of(spec, known.records, ended=known.ended)
    series = tuple(_series(each, alpha) for each in to_targets(spec, runs))
    laws = laws_of(spec, known.records, ended=known.ended)
    law = with_strata(laws, best_score(spec))
    measured = []
    bend = law.fitted.critical_batch_size if law.fitted else None
    if bend is not None and law.fitted is not None:
        note = "a straight line predicts as well" if law.critical_batch_size is None else ""
        if law.fitted.unstable_bend:
            note = "bends where rates diverge: no critical batch size"
        measured.append(Measured("bend of the law", "", Bounded(bend.value, bend.ci_low, bend.ci_high), note))
    else:
        lack = law.lack or "too few best rates are identified for a curve"
        measured.append(Measured("bend of the law", "", Bounded(None, None, None), lack))
    if (noise := law.noise_scale) is not None:
        high = noise.ci_high if np.isfinite(noise.ci_high) else None
        measured.append(Measured("gradient noise scale", "", Bounded(noise.value, noise.ci_low, high)))
    return Critical(spec.name, series, alpha, measured=tuple(measured))


def _series(found: "ToTarget", alpha: float) -> Series:
    notes = []
    if found.edge.any():
        at = ", ".join(f"{size:g}" for size in found.batch_size[found.edge])
        notes.append(f"a rate at the edge of those tried takes the fewest steps at batch size {at}")
    if found.left_out:
        at = ", ".join(f"{size:g}" for size in found.left_out)
        notes.append(f"at batch size {at} the first report was below the target already: left out")
    steps = found.steps
    start = perfect_from(found.batch_size) if len(found.batch_size) else OVERHEAD_FROM
    return Series(
        group={"training loss": found.target}, batch_size=found.batch_size, steps=steps,
        examples=steps * found.batch_size, error=found.error, lr=found.lr, reached=found.reached, basis="tuned rates",
        unit=None, fitted=found.fitted(alpha), overhead=(OVERHEAD, start), notes=tuple(notes),
    )  # fmt: skip


def with_measured(found: Critical, more: tuple[Measured, ...]) -> Critical:
    """With the critical batch size by further ways."""
    return replace(found, measured=(*more, *found.measured))
