"""The page of a study is drawn by one process at a time; if that fails, the failure is noted and work goes on."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from batchlaw.errors import WorkFailed
from batchlaw.storage import StoredStudy, load, note_refresh_failure, open_storage

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block

_DRAW = "import sys; from batchlaw.dashboard.refresh import draw_here; draw_here(*sys.argv[1:])"


def refresh(
    stored: StoredStudy, trials: int | None, judged: "list[Block] | None" = None, *, apart: bool = False
) -> None:
    """Draw the page, unless another process draws it or it was drawn a moment ago.

    Args:
        stored: the study.
        trials: the number of trials after which the study has ended; None before its end.
        judged: the findings, where they are known already.
        apart: draw in a process of its own. Drawing needs 275 MB, which this one would keep.
    """
    with suppress(WorkFailed):  # the database cannot be reached, which the caller's next statement reports
        if (holder := stored.page.take(trials)) is None:
            return
        if not apart:
            _draw(stored, holder, trials, judged)
            return
        url = stored.storage.engine.url.render_as_string(hide_password=False)
        subprocess.run(
            [sys.executable, "-P", "-c", _DRAW, stored.spec.name, holder, "" if trials is None else str(trials)],
            env=os.environ | {"BATCHLAW_STORAGE": url}, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def draw_here(name: str, holder: str, trials: str) -> None:
    """Draw the page of a study of BATCHLAW_STORAGE, which the process that started this one has taken."""
    _draw(load(open_storage(os.environ["BATCHLAW_STORAGE"]), name), holder, int(trials) if trials else None, None)


def _draw(stored: StoredStudy, holder: str, trials: int | None, judged: "list[Block] | None") -> None:
    began = time.monotonic()
    try:
        # Plotly and pandas are imported only where something is drawn.
        from batchlaw.figures.study_page import save_page

        save_page(stored, judged)
    except Exception as error:
        note_refresh_failure(stored, error)
        trials = None
    stored.page.release(holder, seconds=time.monotonic() - began, trials=trials)
