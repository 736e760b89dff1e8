"""A study's board is drawn by whoever's turn it is; what goes wrong there is noted, and harms nobody."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from search.errors import WorkFailed
from search.storage import StoredStudy, note_drawing

if TYPE_CHECKING:
    from search.claims.designed import Block


def draw_in_turn(stored: StoredStudy, trials: int | None, judged: "list[Block] | None" = None) -> None:
    """Draw the board, if it is this process's turn.

    Args:
        stored: the study.
        trials: the number of them at whose end the study is, or None between trials.
        judged: the findings, from where they are known already.
    """
    with suppress(WorkFailed):  # the database's fault; whatever comes next will say so
        if (holder := stored.board.take(trials)) is None:
            return
        began = time.monotonic()
        try:
            from search.figures.board import save_board  # plotly and pandas, which a process without a turn spares

            save_board(stored, judged)
        except Exception as error:
            note_drawing(stored, error)
            trials = None
        stored.board.release(holder, seconds=time.monotonic() - began, trials=trials)
