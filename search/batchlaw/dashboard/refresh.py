"""A study's page is drawn by whoever's turn it is; what goes wrong there is noted, and harms nobody."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from batchlaw.errors import WorkFailed
from batchlaw.storage import StoredStudy, note_refresh_failure

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block


def refresh(stored: StoredStudy, trials: int | None, judged: "list[Block] | None" = None) -> None:
    """Draw the page, if it is this process's turn.

    Args:
        stored: the study.
        trials: the number of them at whose end the study is, or None between trials.
        judged: the findings, from where they are known already.
    """
    with suppress(WorkFailed):  # the database's fault; whatever comes next will say so
        if (holder := stored.page.take(trials)) is None:
            return
        began = time.monotonic()
        try:
            from batchlaw.figures.study_page import (
                save_page,  # plotly and pandas, which a process without a turn spares
            )

            save_page(stored, judged)
        except Exception as error:
            note_refresh_failure(stored, error)
            trials = None
        stored.page.release(holder, seconds=time.monotonic() - began, trials=trials)
