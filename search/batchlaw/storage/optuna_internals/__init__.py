"""All that Optuna does not promise. No other folder of batchlaw names a private part of Optuna or one of its tables.

`needs.py` lists what is used. Where the Optuna at hand has something else, or if `BATCHLAW_PLAIN_OPTUNA` is set,
`plain.py` serves the part concerned by public calls; CONTRIBUTING.md says what each part is for and what that costs.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import optuna
from optuna.study import Study
from sqlalchemy import Engine

from batchlaw.storage.optuna_internals.needs import mismatch
from batchlaw.storage.optuna_internals.plain import Along as Along
from batchlaw.storage.optuna_internals.plain import TrialHead as TrialHead

if TYPE_CHECKING:
    import plotly.graph_objects as go

if mismatch("storage") is None:
    from batchlaw.storage.optuna_internals.cache import cached_reads, study_storage
    from batchlaw.storage.optuna_internals.row_storage import batched_writes, open_tables, stored_schema
    from batchlaw.storage.optuna_internals.trials import heads_of, n_trials_of, trials_of
else:
    from batchlaw.storage.optuna_internals.plain import (
        batched_writes,
        cached_reads,
        heads_of,
        n_trials_of,
        open_tables,
        stored_schema,
        study_storage,
        trials_of,
    )
if mismatch("sampler") is None:
    from batchlaw.storage.optuna_internals.history import bounded_history
else:
    from batchlaw.storage.optuna_internals.plain import bounded_history
if mismatch("pruner") is None and mismatch("storage") is None:
    from batchlaw.storage.optuna_internals.brackets import hyperband, keep_brackets
else:
    from batchlaw.storage.optuna_internals.plain import hyperband, keep_brackets
if mismatch("names") is None:
    from batchlaw.storage.optuna_internals.names import change_name
else:
    from batchlaw.storage.optuna_internals.plain import change_name

__all__ = [
    "Along",
    "TrialHead",
    "announce",
    "batched_writes",
    "bounded_history",
    "cached_reads",
    "change_name",
    "heads_of",
    "hyperband",
    "keep_brackets",
    "n_trials_of",
    "open_tables",
    "stored_schema",
    "study_storage",
    "trials_of",
    "write_page",
]


def write_page(engine: Engine, study: Study, study_id: int, figures: "Mapping[str, go.Figure]", note: str) -> None:
    """Write the figures, by their names, and the note of a study to its page in optuna-dashboard.

    Raises:
        WorkFailed: the database failed permanently, or for too long.
    """
    announce("page")
    # optuna-dashboard takes a second to import.
    if mismatch("page") is None:
        from batchlaw.storage.optuna_internals.page import write_page as write
    else:
        from batchlaw.storage.optuna_internals.plain_page import write_page as write
    write(engine, study, study_id, figures, note)


_announced: set[str] = set()


def announce(*parts: str) -> None:
    """Log a warning if one of these parts is served by public calls, once in a process for each reason."""
    reasons = {reason: None for part in parts if (reason := mismatch(part)) and reason not in _announced}
    if reasons:
        _announced.update(reasons)
        text = "warning: Optuna %s is used by its public calls alone, which is slower: %s"
        logging.getLogger("batchlaw").warning(text, optuna.__version__, "; ".join(reasons))
