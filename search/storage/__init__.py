"""The database: opened here and nowhere else, with our slots beside Optuna's tables."""

from search.storage.engine import DEFAULT_URL, open_storage, patiently, redacted
from search.storage.slots import Claim, SlotCounts, Slots
from search.storage.studies import StoredStudy, load, note_run, register

__all__ = [
    "DEFAULT_URL",
    "Claim",
    "SlotCounts",
    "Slots",
    "StoredStudy",
    "load",
    "note_run",
    "open_storage",
    "patiently",
    "redacted",
    "register",
]
