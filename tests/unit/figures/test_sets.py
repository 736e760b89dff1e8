"""The figures of a ridge beside divergence, with missing cells, and of slopes that are refused."""

import numpy as np
import pytest
from batchlaw.claims.evidence import gather
from batchlaw.figures.labels import Labels
from batchlaw.figures.laws import law_figure
from batchlaw.figures.ridges import ridge_figure, score_map
from batchlaw.laws import laws_of
from batchlaw.stats.surface import Surface

from tests.unit.laws.conftest import designed, planted

LABELS = Labels("title", "question", "loss", maximize=False)
RATES, SIZES = 2.0 ** np.arange(-7, 1), 2.0 ** np.arange(1, 10)


def surface(slope=1.0):
    """The best batch size is 256 ε; below, every run diverges."""
    off = np.log2(SIZES)[None] - 8 - slope * np.log2(RATES)[:, None]
    lost = np.broadcast_to((off < -0.1)[:, :, None], (8, 9, 5)).copy()
    noise = np.random.default_rng(0).normal(size=(8, 9, 5))
    return Surface(RATES, SIZES, np.where(lost, -4.0, -0.1 * off[:, :, None] - 1 + 0.01 * noise), lost)


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def bars(trace):
    """The ends of each bar by its given level."""
    return {x: ends for x, *ends in zip(trace.x[::3], trace.y[::3], trace.y[1::3], strict=True)}


def test_sets_are_bars_that_end_at_the_wall_and_arrows_where_they_are_open():
    whole, sizes = surface(), SIZES[:8]
    evidence = gather(Surface(RATES, sizes, whole.scores[:, :8], whole.unstable[:, :8]))
    figure = ridge_figure(evidence)
    drawn = traces(figure)
    known = bars(drawn["best batch size: 95 % set"])
    ridge = evidence.forward.ridge
    rows = np.flatnonzero(ridge.identified)
    assert list(known) == RATES[rows].tolist() and len(rows) >= 3
    for row in rows:
        assert known[RATES[row]] == pytest.approx([2 ** ridge.low[row], 2 ** ridge.high[row]], rel=1e-3)
        assert known[RATES[row]][0] > sizes[255 * RATES[row] > sizes].max(initial=0)
    crosses = drawn["every seed diverged"]
    lost = {(x, y) for x in RATES for y in sizes if np.log2(y) - 8 - np.log2(x) < -0.1}
    assert set(zip(crosses.x, crosses.y, strict=True)) == lost
    (arrows,) = (trace for trace in figure.data if trace.marker.symbol == "triangle-up")
    assert RATES[-1] in arrows.x and set(arrows.y) == {sizes[-1] * 1.5}


def test_levels_at_which_nothing_trained_or_nothing_is_known_are_shaded_and_named():
    whole = surface()
    scores, lost = whole.scores.copy(), whole.unstable.copy()
    scores[7], lost[7] = -4.0, True
    scores[0], lost[0] = np.nan, False
    evidence = gather(Surface(RATES, SIZES, scores, lost))
    figure = ridge_figure(evidence)
    assert [note.text for note in figure.layout.annotations] == ["no score", "every run diverged"]
    assert len(figure.layout.shapes) == 2
    told = traces(figure)
    assert set(told["no score"].x) == {RATES[0]} and len(told["no score"].x) == 9
    line = next(trace for name, trace in told.items() if name and name.startswith("slope 1."))
    assert (min(line.x), max(line.x)) == pytest.approx((RATES[1], RATES[6]))
    drawn = traces(score_map(evidence, LABELS))
    assert set(drawn["no score"].x) == {0} and set(drawn["every seed diverged"].x) == set(range(1, 8)) - {
        row for row in range(1, 8) if not lost[row].any()
    }


def test_a_slope_that_is_only_bounded_is_a_fan_without_a_line():
    flat = surface(slope=0.5)
    bent = flat.scores - 3.0 * (np.arange(8) < 4)[:, None, None] * (np.log2(SIZES)[None, :, None] > 5)
    evidence = gather(Surface(RATES, SIZES, bent, flat.unstable))
    slope = evidence.forward.slope
    names = list(traces(ridge_figure(evidence)))
    assert slope is not None and slope.bounded
    assert f"slopes that the sets allow: {slope.ci_low:.2f} to {slope.ci_high:.2f}" in names
    assert not any(name and name.startswith(f"slope {slope.slope:.2f}") for name in names)


def test_without_a_slope_the_figure_says_why():
    flat = Surface(RATES, SIZES, np.random.default_rng(0).normal(size=(8, 9, 5)), np.zeros((8, 9, 5), dtype=bool))
    evidence = gather(flat)
    figure = ridge_figure(evidence)
    assert evidence.forward.slope is None
    text = figure.layout.title.text.replace('<br><span style="font-size:12px;color:#555">', " ").replace("</span>", "")
    assert f"No slope: {evidence.forward.lack}" in text
    assert not any(name and name.startswith("slope") for name in traces(figure))


def test_the_law_is_drawn_with_the_sets_that_it_stands_on():
    laws = laws_of(spec := designed(optimizer="momentum"), planted(spec))
    drawn = traces(law_figure(laws))
    known = bars(drawn["best rate: 95 % set"])
    levels = laws[0].levels
    assert list(known) == levels["batch_size"].tolist()
    assert list(known.values()) == [
        pytest.approx(ends, rel=1e-3) for ends in levels[["low", "high"]].to_numpy().tolist()
    ]
    line = drawn["law, ε = c·B^s"]
    assert (min(line.x), max(line.x)) == pytest.approx(laws[0].fitted.seen)
