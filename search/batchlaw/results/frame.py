"""The trials of a study as a table for pandas."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchlaw.results.records import TrialRecord
from batchlaw.spec import TrainConfig
from batchlaw.spec.knobs import KNOBS

if TYPE_CHECKING:
    import pandas as pd

_KNOBS = tuple(knob.name for knob in KNOBS)
_DERIVED = ("peak_lr", "warmup_steps", "steps", "examples")
_FIRST, _LAST = ("number", "outcome", "value"), ("seconds", "device", "started", "ended", "reason")
_COUNTS = (*(knob.name for knob in KNOBS if knob.kind is int), "warmup_steps", "steps", "examples")


def frame_of(
    records: Iterable[TrialRecord], parameters: Iterable[str] = (), tags: Mapping[int, Sequence[str]] | None = None
) -> "pd.DataFrame":
    """A row a trial, by number, with its hyperparameters as used and what follows from them.

    Columns are the same for every study but for the parameters of its own. A trial that did not come so far has missing
    values, and so have parameters whose condition was false.
    """
    import pandas as pd

    tags = tags or {}
    rows = [_row(record) | {"tags": " ".join(tags.get(record.number, ()))} for record in records]
    frame = pd.DataFrame(rows, columns=[*_FIRST, *_KNOBS, *parameters, *_DERIVED, *_LAST, "tags"])
    return frame.astype(dict.fromkeys(_COUNTS, "Int64"))  # whole numbers that may be missing


def facts_of(config: TrainConfig | None) -> dict[str, Any]:
    """The hyperparameters by name, with those of the user's own and what follows from them; none without a config."""
    if config is None:
        return {}
    return {name: getattr(config, name) for name in (*_KNOBS, *_DERIVED)} | config.parameters


def _row(record: TrialRecord) -> dict[str, Any]:
    return {
        "number": record.number, "outcome": str(record.outcome), "value": record.value, **facts_of(record.config),
        "seconds": record.result.seconds, "device": record.result.device,
        "started": record.started, "ended": record.ended, "reason": record.reason,
    }  # fmt: skip
