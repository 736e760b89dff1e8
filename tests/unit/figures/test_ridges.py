"""Figures of one surface in which scores are missing."""

import json
from pathlib import Path

import numpy as np
import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.figures.labels import Labels
from batchlaw.figures.ridges import figures

CRASHED = Path(__file__).parents[2] / "data" / "tables" / "wandb_crashed.csv.gz"


@pytest.fixture(scope="module")
def drawn():
    found = claim(CRASHED, score="val/acc", seed="seed")
    return figures(found.blocks[0][0][1][0].evidence, Labels(found.title, "", "val/acc", True))


def test_a_cell_without_a_score_is_blank_and_marked_and_no_worst_one(drawn):
    heat, crosses = drawn["map"].data[:2]
    blank = np.isnan(np.array(heat.z, dtype=float))
    assert blank.sum() == 40 and blank[4:].all() and crosses.name == "no score"
    assert sorted(zip(crosses.y, crosses.x, strict=True)) == sorted(zip(*np.nonzero(blank), strict=True))
    assert drawn["map"].layout.coloraxis.colorbar is not None and np.nanmin(heat.z) > 0.5


def test_curves_end_where_there_are_no_scores(drawn):
    for curve in drawn["curves"].data:
        assert np.isnan(np.array(curve.y)[4:]).all() and np.isfinite(np.array(curve.y)[:4]).all()
        assert not curve.connectgaps


def test_figures_are_json(drawn):
    for figure in drawn.values():
        json.loads(figure.to_json())
        assert "NaN" not in figure.to_json()
