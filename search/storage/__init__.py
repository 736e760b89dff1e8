"""The database: opened here and nowhere else, with our slots beside Optuna's tables."""

from search.storage.board import Board
from search.storage.cache import Chosen, TrialCache, looking_once
from search.storage.engine import absolute, open_storage, patiently, redacted, together
from search.storage.slots import Claim, SlotCounts, Slots
from search.storage.studies import StoredStudy, load, note_drawing, note_profile, note_run, profiles_of, register
from search.storage.upkeep import Health, health_of, upgrade
from search.storage.workers import BEAT_SECONDS, Registration, WorkerRecord, WorkerState, n_live, workers_of

__all__ = [
    "BEAT_SECONDS",
    "Board",
    "Chosen",
    "Claim",
    "Health",
    "Registration",
    "SlotCounts",
    "Slots",
    "StoredStudy",
    "TrialCache",
    "WorkerRecord",
    "WorkerState",
    "absolute",
    "health_of",
    "load",
    "looking_once",
    "n_live",
    "note_drawing",
    "note_profile",
    "note_run",
    "open_storage",
    "patiently",
    "profiles_of",
    "redacted",
    "register",
    "together",
    "upgrade",
    "workers_of",
]
