"""The gallery as a whole, the comparison of studies, and a study in words."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.verdict import Finding
from batchlaw.figures.comparison import comparison
from batchlaw.figures.facts import facts_of
from batchlaw.figures.gallery import gallery, surface_figures
from batchlaw.figures.style import digits
from batchlaw.recipe.result import Outcome
from batchlaw.spec import fingerprint, parse_spec, read_spec, toml_of

from tests.conftest import tiny_spec
from tests.unit.figures.test_figures import FAMILIES, SPEC, claim_study, drawn, record, title, traces

STUDIES = Path(__file__).parents[3] / "studies"


def test_verdicts_are_a_table():
    judged = [[({"optimizer": "adam"}, [Finding(CATALOGUE["H9"], "supported", "the slope is 1")]),
               ({"optimizer": "sgd"}, [Finding(CATALOGUE["H9"], "refuted", "the slope is 0")])]]  # fmt: skip
    spec = parse_spec(claim_study(), "test")
    figures = gallery(spec, [], judged)
    cells = figures["verdicts"].data[0].cells.values
    assert list(cells[0]) == ["H9 optimizer adam", "H9 optimizer sgd"]
    assert list(cells[1]) == ["<b>supported</b>", "<b>refuted</b>"] and cells[2][0] == "the slope is 1"
    assert list(figures) == ["verdicts"] and surface_figures(spec, judged) == {}


def test_studies_of_one_metric_are_compared():
    other = SPEC.model_copy(update={"name": "another-study-with-a-long-name"})
    loss = tiny_spec(search={"metric": "validation_loss"})
    mine, theirs = [record(0, 0.9), record(1, 0.8, batch_size=16)], [record(0, 0.85, batch_size=16)]
    figures = comparison([(SPEC, mine), (other, theirs), (loss, [record(0, 0.1, spec=loss)])])
    assert set(figures) == {"best-validation_accuracy", "best-validation_accuracy-per-batch-size"}
    best = figures["best-validation_accuracy"].data[0]
    assert list(best.x) == [0.85, 0.9] and best.y[1] == "tiny"  # the best is on top
    curves = traces(figures["best-validation_accuracy-per-batch-size"])
    assert [entry[0] for entry in curves["tiny"].customdata] == [8, 16]
    assert comparison([(SPEC, mine), (loss, [record(0, 0.1, spec=loss)])]) == {}
    assert comparison([(SPEC, mine), (other, [])]) == {}


@pytest.fixture(scope="module")
def many():
    """5,000 trials of a study that eight workers ran."""
    generator = np.random.default_rng(1)
    kinds = generator.choice([Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED], 5000, p=[0.5, 0.4, 0.1])
    records = []
    for number, outcome in enumerate(kinds):
        score = float(generator.uniform(0.1, 0.98))
        records.append(
            record(
                number, None if outcome == Outcome.PRUNED else score,
                outcome=Outcome(outcome), curve=(score / 2, score),
                batch_size=int(2 ** generator.integers(3, 7)), base_lr=float(10 ** generator.uniform(-2, 0)),
                optimizer=str(generator.choice(FAMILIES)), start=number // 8 * 10 + float(generator.uniform(0, 1)),
                seconds=float(generator.uniform(1, 9)),
            )
        )  # fmt: skip
    return records


def test_figures_of_many_trials_are_small_and_hold_the_best(many):
    figures = gallery(SPEC, many, [])
    assert {"score-map", "history", "timeline", "importance"} <= set(figures)
    for name, figure in figures.items():
        assert len(figure.to_json()) < 60_000, name
        assert sum(len(trace.x) for trace in figure.data) <= 2600, name
    best = max((r for r in many if r.outcome == Outcome.COMPLETE), key=lambda r: r.value)
    shown = traces(figures["score-map"])
    assert f"best: trial {best.number}" in shown
    assert best.number in [entry[0] for entry in shown["complete"].customdata]
    assert "500 of 5000 trials" in title(figures["score-map"])


def test_numbers_are_rounded_to_five_digits(many):
    assert digits([1 / 3, 123456.789, 0.0]) == [0.33333, 123460.0, 0.0]
    text = drawn(many[:50], "history").to_json()
    values = json.loads(text)["data"][0]["y"]
    assert all(value == float(f"{value:.5g}") for value in values)


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.toml")), ids=lambda file: file.stem)
def test_a_report_holds_a_study_file_that_is_the_same_study(file):
    spec = read_spec(file)
    assert fingerprint(parse_spec(tomllib.loads(toml_of(spec)), "report")) == fingerprint(spec)
    facts = facts_of(spec)
    assert facts["metric"] == spec.arm.metric and "batch size" in facts and "name" not in facts


def test_facts_are_in_words():
    facts = facts_of(SPEC)
    assert facts["batch size"] == "8 to 64, powers of two" and facts["base lr"] == "0.01 to 1, on a log scale"
    assert facts["optimizer"] == "sgd, momentum, adam" and facts["model options"] == "widths 8"
    assert facts["sampler"] == "tpe" and facts["trials"] == "6"


def test_figures_load_neither_torch_nor_what_only_claims_need():
    script = "import sys; import batchlaw.figures.gallery; print({'torch', 'statsmodels', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
