"""What going on may gain a search, as it was told when the page was drawn last: its model takes a second to fit."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from pydantic import TypeAdapter, ValidationError

from batchlaw.results.gain import Gain, gain_of
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.results.standings import run_of
from batchlaw.storage import SlotCounts, StoredStudy, note_gain, noted_gain, with_retries

_STORED = TypeAdapter(Gain)


def told_gain(stored: StoredStudy, counts: SlotCounts) -> Gain | None:
    """What the trials left may gain a search, or as many as there were after its end or where seconds bound it.

    While trials run this is what the last drawing of the page told, if it was drawn already. After the end it is told
    of all trials.
    """
    if stored.spec.search is None:
        return None
    try:
        noted = _STORED.validate_python(noted_gain(stored))
    except ValidationError:  # none, or no such answer
        noted = None
    if noted is not None and (not counts.ended or (noted.after, noted.trials) == (counts.done, counts.total)):
        return noted
    return _gain(stored, counts, with_retries(lambda: records_of(stored)))


def store_gain(stored: StoredStudy, counts: SlotCounts, records: Sequence[TrialRecord]) -> None:
    """Store what `told_gain` tells.

    Args:
        stored: a study; one that is no search has nothing to tell.
        counts: read before the records.
        records: its trials.
    """
    if stored.spec.search is not None and (gain := _gain(stored, counts, records)) is not None:
        note_gain(stored, asdict(gain))


def _gain(stored: StoredStudy, counts: SlotCounts, records: Sequence[TrialRecord]) -> Gain | None:
    runs = [run_of(record) for record in records if record.confirms is None and not record.breaks]
    found = gain_of(
        runs, stored.spec, counts.total if counts.open_ended else counts.total - counts.done or counts.total
    )
    return found and replace(found, after=counts.done)
