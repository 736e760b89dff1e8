"""The page of a study is drawn by one process at a time; if that fails, the failure is noted and work goes on."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from batchlaw.errors import WorkFailed
from batchlaw.storage import StoredStudy, note_refresh_failure

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block


def refresh(stored: StoredStudy, trials: int | None, judged: "list[Block] | None" = None) -> None:
    """Draw the page, unless another process draws it or it was drawn a moment ago.

    Args:
        stored: the study.
        trials: the number of trials after which the study has ended; None before its end.
        judged: the findings, where they are known already.
    """
    with suppress(WorkFailed):  # the database cannot be reached, which the caller's next statement reports
        if (holder := stored.page.take(trials)) is None:
            return
        began = time.monotonic()
        try:
            # Plotly and pandas are imported only where something is drawn.
            from batchlaw.figures.study_page import save_page

            save_page(stored, judged)
        except Exception as error:
            note_refresh_failure(stored, error)
            trials = None
        stored.page.release(holder, seconds=time.monotonic() - began, trials=trials)
