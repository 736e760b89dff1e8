"""What a reader of a verdict must know of the runs of a designed study."""

import math
from collections.abc import Sequence

from batchlaw.claims.runs import judged_of
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec


def notes_of(spec: StudySpec, records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Sentences on the runs that have no score of their own."""
    results = [record.result for record in judged_of(records)]
    notes = []
    not_trained = sum(result.not_trained for result in results)
    if not_trained:
        notes.append(
            f"{_runs(not_trained)} not trained and count as diverged: the first two seeds of their cells diverged"
        )
    unknown = sum(sum(map(math.isnan, result.replicate_values)) for result in results)
    if unknown and spec.task is None:
        notes.append(
            f"{_runs(unknown)} counted with the worst {spec.arm.metric} of the study: they diverged, and their "
            "untrained score is not known"
        )
    return tuple(notes)


def _runs(n: int) -> str:
    return "1 run was" if n == 1 else f"{n} runs were"
