"""The figures and the note of a study, written to its page in the dashboard."""

from itertools import islice
from typing import TYPE_CHECKING

from optuna_dashboard._custom_plot_data import SYSTEM_ATTR_PLOT_DATA
from optuna_dashboard._note import note_str_key_prefix, note_ver_key, split_body

from batchlaw.errors import StudyError
from batchlaw.figures.gallery import gallery
from batchlaw.figures.note import note
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.results.status import status_of
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, with_retries

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block
    from batchlaw.laws import Law

_OURS = SYSTEM_ATTR_PLOT_DATA + "batchlaw-"
# Characters in an attribute. A character takes up to 6 bytes of JSON, and a text of MySQL holds 65,535 bytes. Short
# pieces are also faster: the dashboard reads every attribute again for every trial.
_PIECE = 10_000
FEWEST_OF_A_LAW = 12  # completed trials; as `FEWEST_POINTS` of `batchlaw.stats.smoothed`
_MOST_FIGURES = 24  # on a page (assumption); a study of many factors has four for each combination of levels


def save_page(stored: StoredStudy, judged: "list[Block] | None" = None) -> None:
    """Draw a study as it stands, and replace what was drawn before.

    The names of figures begin with a number, so that the dashboard keeps them in order. A note that somebody has edited
    on the page stays: editing raises its version, and a note written here has version 0.

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
    pieces: dict[str, str] = {}
    for number, (name, figure) in enumerate(islice(drawn.items(), _MOST_FIGURES)):
        figure.update_layout(height=None, width=None)  # the page gives every figure the same room
        text = figure.to_json()
        for piece, start in enumerate(range(0, len(text), _PIECE)):
            pieces[f"{_OURS}{number:02d}-{name}:{piece}"] = text[start : start + _PIECE]
    stored.page.replace(_OURS, pieces)
    body = split_body(note(status, judged, further=max(0, len(drawn) - _MOST_FIGURES)), None)
    stored.page.replace(note_str_key_prefix(None), body, guard=note_ver_key(None))


def _findings(stored: StoredStudy, records: list[TrialRecord]) -> "list[Block]":
    """The findings of a designed study that has ended; empty if cells failed for good."""
    from batchlaw.claims.designed import findings_of  # scipy.stats takes half a second to import

    try:
        return findings_of(stored, None, seed=0, records=records)
    except StudyError:
        return []


def _laws(spec: StudySpec, records: list[TrialRecord]) -> "list[Law]":
    """The laws of the best learning rate; empty with too few complete trials."""
    if sum(record.outcome == Outcome.COMPLETE for record in records) < FEWEST_OF_A_LAW:
        return []
    from batchlaw.laws import known_laws  # SciPy takes half a second to import

    return known_laws(spec, records)
