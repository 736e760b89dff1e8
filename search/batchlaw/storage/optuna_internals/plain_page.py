"""The page of a study, written by optuna-dashboard's public functions: each piece in a transaction of its own."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from optuna.study import Study
from optuna_dashboard import get_note, save_note, save_plotly_graph_object
from sqlalchemy import Engine

from batchlaw.storage.retries import with_retries

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NOTE = "batchlaw:note"  # the hash of the note that was written here last


def write_page(engine: Engine, study: Study, study_id: int, figures: "Mapping[str, go.Figure]", note: str) -> None:
    """Write the figures and the note of a study.

    A figure that is no longer drawn stays, since no public function deletes one. A note that was not written here is
    not replaced.
    """
    for name, figure in figures.items():
        with_retries(partial(save_plotly_graph_object, study, figure, graph_object_id=f"batchlaw-{name}"))
    known = with_retries(lambda: get_note(study))
    if known and _hash(known) != with_retries(lambda: study.user_attrs).get(_NOTE):
        return
    with_retries(lambda: save_note(study, note))
    with_retries(lambda: study.set_user_attr(_NOTE, _hash(note)))


def _hash(note: str) -> str:
    return hashlib.sha256(note.encode()).hexdigest()
