"""A claim judged on a stored designed study."""

from typing import TYPE_CHECKING

from batchlaw.claims.claim import Claim, claim_of

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy


def claim_of_study(
    stored: "StoredStudy", hypothesis: str | None = None, *, bootstrap_seed: int = 0, horizon: float | None = None
) -> Claim:
    """Judge the hypotheses of a designed study, or one that is named after its runs.

    Args:
        stored: the study.
        hypothesis: one to judge in place of the study's own.
        bootstrap_seed: of the bootstraps over seeds that H5, H13, H17 and H25 are judged by, 0 or more.
        horizon: the share of the budget at which the runs are judged, one of `schedule.horizons`; None: the whole.

    Raises:
        StudyError: the study was searched, or has cells without a result.
        SpecError: the hypothesis needs levels that the study does not have.
        BatchlawError: there is no such hypothesis, or the study has no such horizon.
    """
    from batchlaw.claims.designed import findings_of
    from batchlaw.claims.hypotheses import hypothesis_named
    from batchlaw.claims.notes import notes_of
    from batchlaw.results.horizons import at_horizon
    from batchlaw.results.records import known_trials

    stored, known = at_horizon(stored, known_trials(stored), horizon)
    spec = stored.spec
    named = hypothesis_named(hypothesis).name if hypothesis else None
    blocks = findings_of(stored, [named] if named else None, bootstrap_seed, known)
    return claim_of(
        blocks, named or "H9", "designed", title=spec.name, question=spec.purpose, score=spec.arm.metric,
        direction=spec.direction, notes=notes_of(spec, known.records),
    )  # fmt: skip
