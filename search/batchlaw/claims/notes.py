"""What a reader of a verdict must know of the runs of a designed study."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from batchlaw.claims.planned import cell_name, last_trials, missing_cells, planned_cells, scored
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec

_NAMED = 3  # missing cells that are named
_ENDED = {Outcome.OUT_OF_MEMORY: "out of memory", None: "not run"}


def notes_of(spec: StudySpec, records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Sentences on the runs of a study that has ended that have no score of their own."""
    return tuple(_notes(spec, records))


def _notes(spec: StudySpec, records: Sequence[TrialRecord]) -> Iterator[str]:
    assert spec.claim is not None
    counted = scored(records)
    if spec.claim.runs is not None:
        if n_missing := max(spec.claim.runs - len(counted), 0):
            yield f"{n_missing} of {spec.claim.runs} runs are missing: they failed or did not fit into memory"
    elif missing := missing_cells(planned := planned_cells(spec), last_trials(spec, records)):
        counts = Counter(_ENDED.get(outcome, str(outcome)) for outcome in missing.values())
        how = ", ".join(f"{n} {name}" for name, n in counts.items())
        such = "; ".join(cell_name(spec, cell) for cell in list(missing)[:_NAMED])
        more = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        yield f"{len(missing)} of {len(planned)} cells are missing ({how}): {such}{more}"
    if not_trained := sum(record.result.not_trained for record in counted):
        yield f"{_were(not_trained)} not trained and count as diverged: the first two seeds of their cells diverged"
    unknown = sum(_n_unknown(record) for record in counted) if spec.task is None else 0
    if unknown:
        yield (
            f"{_were(unknown)} counted with the worst {spec.arm.metric} of the study: they diverged, and their "
            "untrained score is not known"
        )


def _n_unknown(record: TrialRecord) -> int:
    """The number of seeds of a trial whose score is not known."""
    values = record.result.replicate_values
    return sum(map(math.isnan, values)) if values else len(record.known_config.seeds)


def _were(n: int) -> str:
    return "1 run was" if n == 1 else f"{n} runs were"
