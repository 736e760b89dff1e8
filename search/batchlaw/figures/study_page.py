"""A study's figures and its note, on its page in the dashboard."""

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
# Characters in an attribute: a fifth of the dashboard's own pieces, which it goes through again for every trial. Each
# is at most 6 bytes of JSON, and MySQL takes 65,535 in a text.
_PIECE = 10_000
FEWEST_OF_A_LAW = 12  # completed trials; as `FEWEST_POINTS` of `batchlaw.stats.smoothed`
_MOST_FIGURES = 24  # on a page; a study of many factors has four for each combination of levels (assumption)


def save_page(stored: StoredStudy, judged: "list[Block] | None" = None) -> None:
    """Draw a study as it stands, in the place of what was drawn before.

    The figures are numbered, so that the dashboard can keep them in the order of reading. A note that somebody has
    edited on the page is left as it is: the page then counts up its version, which is 0 for what is written here.

    Args:
        stored: the study.
        judged: the findings, from where they are known already.

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
    """Of a designed study that has ended; none where cells failed for good."""
    from batchlaw.claims.designed import findings_of  # scipy.stats takes half a second to import

    try:
        return findings_of(stored, None, seed=0, records=records)
    except StudyError:
        return []


def _laws(spec: StudySpec, records: list[TrialRecord]) -> "list[Law]":
    """How the best learning rate moves with the batch size, if there are trials enough to tell."""
    if sum(record.outcome == Outcome.COMPLETE for record in records) < FEWEST_OF_A_LAW:
        return []
    from batchlaw.laws import known_laws  # SciPy takes half a second to import

    return known_laws(spec, records)
