"""The figures and the note of a study, written to its page in the dashboard."""

from itertools import islice
from typing import TYPE_CHECKING

from batchlaw.errors import StudyError
from batchlaw.figures.gallery import gallery
from batchlaw.figures.note import note
from batchlaw.recipe.result import Outcome
from batchlaw.results.answer import Answer
from batchlaw.results.records import KnownTrials, TrialRecord, known_trials
from batchlaw.results.standings import Standings
from batchlaw.results.status import status_of
from batchlaw.results.told_gain import store_gain
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, write_page

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
    known = known_trials(stored)
    store_gain(stored, status.slots, known.records)
    if judged is None:
        judged = _findings(stored, known) if stored.spec.claim and known.ended else []
    laws = _laws(stored.spec, known) if known.ended else []
    drawn = gallery(stored.spec, known.records, judged, laws)
    figures = dict(islice(drawn.items(), _MOST_FIGURES))
    for figure in figures.values():
        figure.update_layout(height=None, width=None)  # the page gives every figure the same room
    remarks = _remarks(stored.spec, known.records) if judged else ()
    found = Answer.of(Standings(stored.spec, known.records)) if known.ended else None
    body = note(
        status, judged, remarks, answer=found.lines() if found else (), has_law=any(law.fitted for law in laws),
        further=len(drawn) - len(figures),
    )  # fmt: skip
    write_page(stored.storage.engine, stored.study, stored.study_id, figures, body)


def _findings(stored: StoredStudy, known: KnownTrials) -> "list[Block]":
    """The findings of a designed study that has ended; empty if no run has a score."""
    from batchlaw.claims.designed import findings_of  # scipy.stats takes half a second to import

    try:
        return findings_of(stored, None, seed=0, known=known)
    except StudyError:
        return []


def _remarks(spec: StudySpec, records: list[TrialRecord]) -> tuple[str, ...]:
    """Sentences on the runs of a designed study."""
    from batchlaw.claims.notes import notes_of  # pandas takes half a second to import

    return notes_of(spec, records)


def _laws(spec: StudySpec, known: KnownTrials) -> "list[Law]":
    """The laws of the best learning rate; empty with too few complete trials."""
    if sum(record.outcome == Outcome.COMPLETE for record in known.records) < FEWEST_OF_A_LAW:
        return []
    from batchlaw.laws import known_laws  # SciPy takes half a second to import

    return known_laws(spec, known.records, ended=known.ended)
