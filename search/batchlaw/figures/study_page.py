"""The figures and the note of a study, written to its page in the dashboard."""

from itertools import islice
from typing import TYPE_CHECKING

from batchlaw.errors import StudyError
from batchlaw.figures.gallery import gallery
from batchlaw.figures.note import note
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.results.status import status_of
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, with_retries, write_page

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block
    from batchlaw.laws import Law

FEWEST_OF_A_LAW = 12  # completed trials; as `FEWEST_POINTS` of `batchlaw.stats.smoothed`
_MOST_FIGURES = 24  # on a page (assumption); a study of many factors has four for each combination of levels


def save_page(stored: StoredStudy, judged: "list[Block] | None" = None) -> None:
    """Draw a study as it stands, and replace what was drawn before.

    A note that somebody has edited on the page stays.

    Args:
        stored: the study.
        judged: the findings, where they are known already.

    Raises:
        WorkFailed: the database failed for good, or for longer.
    """
    status = status_of(stored)
    records = with_retries(lambda: records_of(stored))
    ended = status.slots.done == status.slots.total
    if judged is None:
        judged = _findings(stored, records) if stored.spec.claim and ended else []
    laws = _laws(stored.spec, records) if ended else []
    drawn = gallery(stored.spec, records, judged, laws)
    figures = dict(islice(drawn.items(), _MOST_FIGURES))
    for figure in figures.values():
        figure.update_layout(height=None, width=None)  # the page gives every figure the same room
    body = note(status, judged, _remarks(stored.spec, records) if judged else (), further=len(drawn) - len(figures))
    write_page(stored.storage.engine, stored.study, stored.study_id, figures, body)


def _findings(stored: StoredStudy, records: list[TrialRecord]) -> "list[Block]":
    """The findings of a designed study that has ended; empty if cells failed for good."""
    from batchlaw.claims.designed import findings_of  # scipy.stats takes half a second to import

    try:
        return findings_of(stored, None, seed=0, records=records)
    except StudyError:
        return []


def _remarks(spec: StudySpec, records: list[TrialRecord]) -> tuple[str, ...]:
    """Sentences on the runs of a designed study."""
    from batchlaw.claims.notes import notes_of  # pandas takes half a second to import

    return notes_of(spec, records)


def _laws(spec: StudySpec, records: list[TrialRecord]) -> "list[Law]":
    """The laws of the best learning rate; empty with too few complete trials."""
    if sum(record.outcome == Outcome.COMPLETE for record in records) < FEWEST_OF_A_LAW:
        return []
    from batchlaw.laws import known_laws  # SciPy takes half a second to import

    return known_laws(spec, records)
