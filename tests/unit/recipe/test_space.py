"""Points from stored parameters."""

from pathlib import Path

import optuna
import pytest
from batchlaw.recipe.space import point_of, suggest
from batchlaw.spec import read_spec
from optuna.trial import FixedTrial

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.toml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_stored_parameters_give_the_suggested_point(file):
    space = read_spec(file).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(5):
        trial = study.ask()
        point = suggest(trial, space)
        assert point_of(trial.params, space) == point == suggest(FixedTrial(trial.params), space)
