"""The runs that are only described: which rates were tried at each batch size, and which of them was the best."""

import numpy as np
import plotly.graph_objects as go

from batchlaw.claims.bests import Best
from batchlaw.claims.observed import Observed
from batchlaw.figures.axes import FINE_LOG, batch_axis
from batchlaw.figures.style import BLUE, GRAY, PURPLE, VERMILLION, digits, finish, words
from batchlaw.stats.scattered import Scattered

_SWEPT = 2  # rates at a batch size, for a best among them


def observed_figure(seen: Observed) -> go.Figure | None:
    """The rates tried and the best at each batch size; with one rate a batch size its score; None without runs.

    Of several parts that differ in another factor the largest is drawn.
    """
    if seen.runs is None:
        return None
    runs = seen.runs
    if any(len(np.unique(runs.lr[runs.batch_size == size])) >= _SWEPT for size in np.unique(runs.batch_size)):
        return _rates(runs, seen)
    return _scores(runs, seen)


def _rates(runs: Scattered, seen: Observed) -> go.Figure:
    figure = go.Figure()
    for rows, name, marker in (
        (~runs.diverged, "tried", {"symbol": "circle", "size": 6, "color": GRAY}),
        (runs.diverged, "diverged", {"symbol": "x-thin", "size": 8, "line": {"color": PURPLE, "width": 1.5}}),
    ):
        if rows.any():
            figure.add_scatter(
                x=digits(runs.batch_size[rows]), y=digits(runs.lr[rows]), mode="markers", name=name, marker=marker
            )
    bests = [best for best in seen.drawn if best.best is not None and best.edge != "only"]
    for inside, name, color in ((True, "best, inside", BLUE), (False, "best, at an edge", VERMILLION)):
        own = [best for best in bests if (best.edge is None) == inside]
        if own:
            figure.add_scatter(
                x=digits(best.value for best in own), y=digits(best.best or 0.0 for best in own), mode="markers",
                name=name, text=[f"{best.score:.5g}" for best in own],
                marker={"symbol": [_symbol(best) for best in own], "size": 13, "color": color},
            )  # fmt: skip
    return finish(
        figure,
        f"The best rate tried{seen.of}",
        "no model and no test; arrows: at the edge of what was tried, so that a better one may lie beyond",
        xaxis=batch_axis(runs.batch_size),
        yaxis=FINE_LOG | {"title": {"text": "learning rate"}},
    )


def _symbol(best: Best) -> str:
    return {"highest": "triangle-up", "lowest": "triangle-down"}.get(best.edge or "", "circle")


def _scores(runs: Scattered, seen: Observed) -> go.Figure:
    scores = [(best.value, best.score) for best in seen.drawn if best.score is not None]
    figure = go.Figure(
        go.Scatter(
            x=digits(size for size, _ in scores), y=digits(score for _, score in scores), mode="lines+markers",
            marker={"size": 9, "color": BLUE}, line={"color": BLUE}, name=words(seen.score),
        )
    )  # fmt: skip
    return finish(
        figure,
        f"The score at each batch size{seen.of}",
        "one learning rate at each: it was chosen and not swept, so nothing is seen of the best one",
        xaxis=batch_axis(runs.batch_size),
        yaxis={"title": {"text": words(seen.score)}},
    )
