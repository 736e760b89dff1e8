"""Which batch size and learning rate to take, by tables of each grade, and the page of a table."""

import json

import numpy as np
import pandas as pd
import pytest
from batchlaw import recommend, report
from batchlaw.cli import app
from batchlaw.errors import BatchlawError
from batchlaw.stats.best_rows import of_replicates
from batchlaw.stats.surface import Surface
from typer.testing import CliRunner

RATES, SIZES = [2.0**k for k in range(-10, -1)], [2.0**k for k in range(2, 10)]


def runs(seeds=1, noise=0.01, drift=0.2):
    """The best rate is √B / 256, the best batch size 64, and larger batches take fewer minutes."""
    draw = np.random.default_rng(0)
    rows = [
        (rate, size, seed, 1 + 0.1 * off**2 + drift * (np.log2(size) - 6) ** 2 + noise * draw.normal(), 6400 / size)
        for rate in RATES
        for size in SIZES
        for seed in range(seeds)
        for off in [np.log2(rate) - 0.5 * np.log2(size) + 8]
    ]
    return pd.DataFrame(rows, columns=["lr", "batch_size", "seed", "val_loss", "time (min)"])


def test_with_seeds_the_best_batch_size_is_found_with_its_rate_and_what_others_lose():
    found = recommend(runs(seeds=4))
    assert (found.grade, found.chosen.batch_size, found.guide) == ("replicated", 64, None)
    assert found.chosen.low < 2.0**-5 < found.chosen.high and found.chosen.tied
    table = found.table.set_index("batch_size")
    assert table["tied"].tolist() == [size == 64 for size in SIZES]
    # What a batch size loses by the planted surface, at the rates tried: every other best rate lies between two.
    planted = pd.Series({size: 0.2 * (np.log2(size) - 6) ** 2 + 0.025 * (np.log2(size) % 2) for size in SIZES})
    assert ((table["lost_low"] <= planted) & (planted <= table["lost_high"])).all()
    assert found.clock == ("time (min)", "seconds") and found.chosen.time == 6000
    assert "no other batch size is as good" in found.lines()[0] and json.dumps(found.as_dict())


def test_of_tied_batch_sizes_the_fastest_is_taken_and_a_limit_is_kept():
    flat = runs(seeds=4, drift=0.0)
    at_grid = recommend(flat[flat["batch_size"].isin(SIZES[::2])])
    assert [each.tied for each in at_grid.choices] == [True] * 4 and at_grid.chosen.batch_size == 256
    assert recommend(runs(seeds=4), seconds=3000).chosen.batch_size == 128
    for options, line in (
        ({"seconds": 1}, "no batch size took as little"),
        ({"seconds": 1, "score": "seed"}, "direct"),
    ):
        with pytest.raises(BatchlawError, match=line):
            recommend(runs(), **options)


def test_single_runs_are_a_guide_and_few_runs_are_the_best_of_those_tried():
    found = recommend(runs().drop(columns="seed"))
    assert found.grade == "fitted" and found.guide and "guide" in found.lines()[-1]
    assert 32 <= found.chosen.batch_size <= 128 and any(each.tied for each in found.choices)
    few = runs()[runs()["lr"].isin(RATES[5:7])].drop(columns="seed")
    seen = recommend(few)
    best = few.loc[few["val_loss"].idxmin()]
    assert (seen.grade, seen.chosen.batch_size, seen.chosen.lr) == ("observed", best["batch_size"], best["lr"])
    assert seen.chosen.tied is None and "better one may lie beyond" in seen.lines()[0]


def test_what_no_column_tells_is_no_part_of_the_choice():
    found = recommend(pd.DataFrame({"batch_size": [16, 32, 64], "val_acc": [0.9, 0.95, 0.93]}))
    assert (found.chosen.batch_size, found.chosen.lr, found.chosen.score) == (32, None, 0.95)
    found = recommend(pd.DataFrame({"lr": [0.1, 0.2, 0.4], "val_acc": [0.9, 0.95, 0.93]}))
    assert (found.chosen.batch_size, found.chosen.lr) == (None, 0.2)


@pytest.mark.parametrize(
    ("name", "cells", "seconds"),
    [("time (s)", ["90", "1,080"], [90, 1080]), ("wall_time", ["0:01:30", "18:00:00"], [90, 64800]),
     ("train_hours", ["0.5", "2"], [1800, 7200]), ("Runtime", ["90.5", "1080"], [90.5, 1080])],
)  # fmt: skip
def test_times_are_read_in_their_unit(tmp_path, name, cells, seconds):
    quoted = [f'"{cell}"' for cell in cells]
    text = f"lr,batch_size,acc,{name}\n0.1,16,0.9,{quoted[0]}\n0.1,32,0.8,{quoted[1]}\n"
    (tmp_path / "runs.csv").write_text(text)
    assert [each.time for each in recommend(tmp_path / "runs.csv").choices] == seconds


def test_the_set_of_batch_sizes_holds_the_best_one():
    """In 95 % of simulated surfaces at least, also where several rows are as good as the best."""
    draw, held, n = np.random.default_rng(1), 0, 200
    means = -np.array([0.0, 0.0, 0.0, 0.02, 0.05, 0.3])[:, None] - 0.1 * np.abs(np.arange(-2, 3))
    for _ in range(n):
        scores = means[:, :, None] + 0.05 * draw.normal(size=(6, 5, 4)) + 0.1 * draw.normal(size=4)
        surface = Surface(np.arange(1.0, 7), np.arange(1.0, 6), scores, np.zeros(scores.shape, dtype=bool))
        held += of_replicates(surface, 0.05).tied[:3].all()
    assert held >= 0.93 * n


def test_the_page_of_a_table_has_all_its_parts(tmp_path):
    page = report(runs().drop(columns="seed"), tmp_path / "page.html").read_text()
    for part in (
        "Evidence: <b>fitted</b>",
        "What to take",
        "What was understood",
        "H9",
        "H6",
        "What a rule costs",
        "plotly",
    ):
        assert part in page
    assert "http://" not in page.split("</script>")[-1]


def test_the_commands_take_files_and_say_what_does_not_go_with_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs()[::7].to_csv("runs.csv", index=False)
    told = CliRunner().invoke(app, ["recommend", "runs.csv", "--json"])
    assert json.loads(told.stdout)["grade"] == "observed"
    assert CliRunner().invoke(app, ["report", "runs.csv", "-o", "page.html"]).exit_code == 0
    assert (tmp_path / "page.html").stat().st_size > 1e6
    for words in (["recommend", "runs.csv", "--devices", "2"], ["report", "runs.csv", "study"]):
        assert CliRunner().invoke(app, words).exit_code != 0
