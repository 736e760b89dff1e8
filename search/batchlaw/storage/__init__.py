"""The database: Optuna's tables, and beside them batchlaw's slots, workers and pages."""

import batchlaw.storage.quiet  # noqa: F401  (before anything imports Optuna)
from batchlaw.storage.address import absolute, redacted
from batchlaw.storage.changes import delete_study, rename_study
from batchlaw.storage.copying import copy_studies
from batchlaw.storage.engine import EmptyDatabase, open_storage
from batchlaw.storage.fits import Fit, fits_of, note_fit, spec_that_fits
from batchlaw.storage.notes import (
    not_logged_since,
    note_gain,
    note_not_logged,
    note_profile,
    note_refresh_failure,
    note_run,
    note_stop,
    noted_gain,
    profiles_of,
    stop_of,
)
from batchlaw.storage.optuna_internals import (
    Along,
    TrialHead,
    batched_writes,
    bounded_history,
    cached_reads,
    heads_of,
    hyperband,
    n_trials_of,
    trials_of,
    write_page,
)
from batchlaw.storage.retries import ValueRefused, with_retries
from batchlaw.storage.slots import Lease, SlotCounts, Slots
from batchlaw.storage.studies import (
    StoredStudy,
    folder_name,
    history_of,
    is_stored,
    load,
    load_all,
    register,
)
from batchlaw.storage.tags import set_tags, tags_of
from batchlaw.storage.upkeep import Health, health_of, upgrade
from batchlaw.storage.workers import (
    BEAT_SECONDS,
    Registration,
    WorkerRecord,
    WorkerState,
    ask_to_stop,
    check_idle,
    live_workers,
    n_asked_to_stop,
    other_pids,
    workers_of,
)

__all__ = [
    "BEAT_SECONDS",
    "Along",
    "EmptyDatabase",
    "Fit",
    "Health",
    "Lease",
    "Registration",
    "SlotCounts",
    "Slots",
    "StoredStudy",
    "TrialHead",
    "ValueRefused",
    "WorkerRecord",
    "WorkerState",
    "absolute",
    "ask_to_stop",
    "batched_writes",
    "bounded_history",
    "cached_reads",
    "check_idle",
    "copy_studies",
    "delete_study",
    "fits_of",
    "folder_name",
    "heads_of",
    "health_of",
    "history_of",
    "hyperband",
    "is_stored",
    "live_workers",
    "load",
    "load_all",
    "n_asked_to_stop",
    "n_trials_of",
    "not_logged_since",
    "note_fit",
    "note_gain",
    "note_not_logged",
    "note_profile",
    "note_refresh_failure",
    "note_run",
    "note_stop",
    "noted_gain",
    "open_storage",
    "other_pids",
    "profiles_of",
    "redacted",
    "register",
    "rename_study",
    "set_tags",
    "spec_that_fits",
    "stop_of",
    "tags_of",
    "trials_of",
    "upgrade",
    "with_retries",
    "workers_of",
    "write_page",
]
