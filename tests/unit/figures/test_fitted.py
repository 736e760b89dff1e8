"""Figures of single runs: the fitted surface, and what rules cost on it."""

import numpy as np
import pandas as pd
import pytest
from batchlaw.figures.fitted import surface_figure
from batchlaw.figures.laws import transfer_figure
from batchlaw.laws.tables import law, transfer


@pytest.fixture(scope="module")
def runs():
    """On a grid without its corner of large batch sizes and low rates; the best rate is √B / 256."""
    generator = np.random.default_rng(0)
    cells = [(2.0**x, 2.0**y) for y in range(2, 10) for x in range(-11, 0) if x - y > -15]
    table = pd.DataFrame(cells, columns=["lr", "batch_size"])
    off = np.log2(table["lr"]) - 0.5 * np.log2(table["batch_size"]) + 8
    return table.assign(loss=1 + 0.1 * off**2 + 0.01 * generator.normal(size=len(table)))


def test_the_valley_is_bright_and_what_was_not_tried_is_blank(runs):
    figure = surface_figure(law(runs))
    shown = figure.data[0]
    z = np.array(shown.z, dtype=float)
    x, y = np.log2(shown.x), np.log2(shown.y)
    best = y[np.nanargmin(z, axis=0)]
    assert np.abs(best - (0.5 * x - 8)).max() < 1
    assert np.isnan(z[0, -1]) and np.isfinite(z[:, x < 3]).all() and np.isfinite(z[y > -6]).all()
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log" and "?" in figure.layout.title.text
    assert len([trace for trace in figure.data if trace.name == "law"]) == 1


def test_a_cost_beyond_the_rates_tried_has_a_triangle(runs):
    found = transfer(runs, reference_batch_size=16)
    figure = transfer_figure("loss", found)
    triangles = [trace for trace in figure.data if trace.marker.symbol == "triangle-up"]
    assert sum(len(trace.x) for trace in triangles) == found.costs["at_least"].sum() > 0
    (constant,) = (trace for trace in figure.data if trace.name == "constant")
    assert np.all(np.array(constant.error_y.array) >= 0) and len(constant.y) == len(found.given)
