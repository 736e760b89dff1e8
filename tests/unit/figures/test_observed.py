"""Figures of runs that are only described."""

from pathlib import Path

import pytest
from batchlaw.claims.table_claim import claim
from batchlaw.figures.labels import Labels
from batchlaw.figures.observed import observed_figure
from batchlaw.figures.report import claim_report

TABLES = Path(__file__).parents[2] / "data" / "odd_tables"


def described(name):
    found = claim(TABLES / f"{name}.csv")
    return found, found.descriptions[0][1]


def test_the_best_rates_stand_among_those_tried():
    _, seen = described("students_grid")
    tried, best = observed_figure(seen).data
    assert tried.name == "tried" and len(tried.x) == 20
    assert best.name == "best, inside" and set(best.y) == {0.01} and set(best.marker.symbol) == {"circle"}


def test_a_best_rate_at_an_edge_is_an_arrow():
    _, seen = described("two_levels")
    best = observed_figure(seen).data[-1]
    assert best.name == "best, at an edge" and set(best.marker.symbol) == {"triangle-up"}


def test_rates_that_were_chosen_have_their_scores_drawn():
    _, seen = described("chosen_rates")
    figure = observed_figure(seen)
    assert figure.layout.yaxis.title.text == "steps to target" and len(figure.data[0].x) == 5
    assert "not swept" in figure.layout.title.text


@pytest.mark.parametrize(
    ("name", "grade"), [("students_grid", "observed"), ("means", "replicated"), ("own_rates", "fitted")]
)
def test_the_page_of_a_claim_has_its_grade_and_what_was_seen(name, grade):
    found, seen = described(name)
    page = claim_report(list(found.blocks), Labels("runs", "", "score", False), found.notes, found.descriptions)
    assert f"inconclusive</b> ({grade})" in page and "What the runs show" in page
    assert seen.sentences[0] in page
    assert ("How to read this" in page) == (grade != "observed")
