"""Points from stored parameters."""

from pathlib import Path

import optuna
import pytest
from batchlaw.recipe.space import cells, companions, distributions_of, point_of, suggest
from batchlaw.spec import parse_spec, read_spec
from optuna.trial import FixedTrial

from tests.conftest import tiny_study

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.toml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_stored_parameters_give_the_suggested_point(file):
    spec = read_spec(file)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(5):
        trial = study.ask()
        point = suggest(trial, spec)
        assert point_of(trial.params, spec) == point == suggest(FixedTrial(trial.params), spec)


def staggered(batch_size):
    table = tiny_study(task=None, objective="mine:train", train_size=4096)
    del table["search"]
    table["space"] = {"batch_size": batch_size, "base_lr": [0.32, 0.01, 0.02, 0.08, 0.04, 0.16, 0.64]}
    table["claim"] = {"hypotheses": ["H9"], "metric": "validation_loss", "grid": "staggered"}
    return parse_spec(table, "test")


@pytest.mark.parametrize("batch_size", [{"low": 4, "high": 512, "log2": True}, [512, 4, 8, 16, 32, 64, 128, 256]])
def test_each_learning_rate_of_a_staggered_grid_has_batch_sizes_of_its_own(batch_size):
    spec = staggered(batch_size)
    every = cells(spec)
    assert len(every) == 8 * 7
    at = {rate: [cell["batch_size"] for cell in every if cell["base_lr"] == rate] for rate in spec.space.base_lr}
    assert at[0.01] == at[0.08] == at[0.64] == [4, 8, 16, 32, 64, 128, 256, 512]  # the lowest rate, the fourth, …
    assert at[0.02] == at[0.16] == [4, 10, 20, 40, 81, 161, 323, 645]
    assert at[0.04] == at[0.32] == [4, 13, 25, 51, 102, 203, 406, 813]
    sizes = [cell["batch_size"] for cell in every]
    assert sizes == sorted(sizes)


def test_the_trials_of_a_staggered_grid_have_the_batch_sizes_that_are_trained():
    spec = staggered({"low": 4, "high": 512, "log2": True})
    for cell in cells(spec):
        assert point_of(cell, spec).batch_size == cell["batch_size"]
        assert suggest(FixedTrial(cell), spec) == point_of(cell, spec)  # FixedTrial refuses what is no choice
    assert "log2_batch_size" not in distributions_of(spec)


def test_cells_of_a_staggered_grid_train_together_where_they_share_a_batch_size():
    spec = staggered([4, 8, 16, 32, 64, 128, 256, 512])
    every = cells(spec)

    def rates(cell):
        slot = every.index(cell)
        return {every[other]["base_lr"] for other in companions(spec, slot)} | {cell["base_lr"]}

    own = next(cell for cell in every if cell["batch_size"] == 161)
    assert rates(own) == {0.02, 0.16}
    assert rates(next(cell for cell in every if cell["batch_size"] == 4)) == set(spec.space.base_lr)
