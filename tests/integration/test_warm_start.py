"""A search that starts from earlier studies and tables of runs."""

from math import log10

import pytest
from batchlaw import Study
from batchlaw.cli import app
from batchlaw.errors import BatchlawError, StudyError
from batchlaw.recipe.space import point_of
from batchlaw.study.warm_start import n_points
from typer.testing import CliRunner

SPACE = {"batch_size": (8, 256), "base_lr": (1e-4, 1.0), "optimizer": "sgd"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A database with a study whose best is at a base rate of 0.1."""
    url = f"sqlite:///{tmp_path_factory.mktemp('studies')}/studies.db"
    study = create(url, "small", trials=24)
    while trial := study.ask():
        study.tell(trial, {"loss": (log10(trial.config.base_lr) + 1) ** 2})
    return url


def create(url, name, *, trials=40, space=SPACE, epochs=1, **more):
    return Study.create(
        name=name, storage=url, metric="loss", direction="minimize", trials=trials, train_size=1000, epochs=epochs,
        space=space, **more,
    )  # fmt: skip


def first(study):
    return [point_of(trial.user_attrs["start"], study.spec) for trial in study.stored.study.get_trials()]


def test_its_best_are_tried_first_in_the_new_space(url):
    narrow = SPACE | {"batch_size": (16, 64)}
    study = create(url, "larger", epochs=10, space=narrow, warm_start="small")
    points = first(study)
    assert 2 <= len(points) <= n_points(40) == 4
    best = Study.open("small", url).best(6)
    assert points[0].base_lr == pytest.approx(best[0].config.peak_lr)
    assert {point.base_lr for point in points} <= {each.config.base_lr for each in best}
    assert all(16 <= point.batch_size <= 64 for point in points)
    assert study.ask().config.base_lr == points[0].base_lr


def test_several_sources_come_in_turn_and_after_what_the_study_names(url, tmp_path):
    table = tmp_path / "runs.csv"
    rows = [f"{lr},{size},{seed},{lr}" for lr in (1e-3, 1e-2, 0.3) for size in (128, 256) for seed in (0, 1)]
    table.write_text("\n".join(["lr,batch_size,seed,thing", *rows]))
    with pytest.raises(BatchlawError, match="thing"):  # no column is known to be a score
        create(url, "none", warm_start=[table])
    table.write_text("\n".join(["lr,batch_size,seed,val_loss", *rows]))
    study = create(url, "both", warm_start=["small", str(table)], start=[{"base_lr": 0.5}])
    trials = study.stored.study.get_trials()
    assert trials[0].user_attrs["start"] == {"base_lr": 0.5}
    [_, second, *_] = [trial.user_attrs["start"] for trial in trials[1:]]
    assert second == {"log2_batch_size": 7, "base_lr": 0.001}


def test_a_table_tells_the_optimizer_and_the_study_which_scores_are_better(url, tmp_path):
    table = tmp_path / "runs.csv"
    rows = [f"{lr},64,{name},{lr},{i}" for i, (lr, name) in enumerate([(0.01, "Adam"), (0.9, "SGD"), (0.95, "SGD")])]
    table.write_text("\n".join(["lr,batch_size,Optimizer,gap,run", *rows]))
    space = SPACE | {"optimizer": ["sgd", "adam"]}
    study = Study.create(
        name="table", storage=url, metric="gap", direction="minimize", trials=20, train_size=1000, epochs=1,
        space=space, warm_start=table,
    )  # fmt: skip
    [point] = first(study)
    assert (point.optimizer, point.batch_size, point.base_lr) == ("adam", 64, pytest.approx(1.0))


def test_a_study_that_is_stored_goes_on_as_it_is(url):
    for _ in range(2):
        study = create(url, "again", warm_start=["small"])
        assert len(study.stored.study.get_trials()) == len(first(study)) > 0
    published = first(create(url, "cold"))
    assert first(create(url, "cold", warm_start=["nowhere"])) == published


def test_without_a_source_the_published_default_is_tried_first(url):
    study = create(url, "told-nothing")
    [point] = first(study)
    assert (point.batch_size, point.base_lr) == (32, 0.125)
    assert study.ask().config.peak_lr == 0.125
    assert create(url, "told-a-start", start=[{"base_lr": 0.5}]).ask().config.base_lr == 0.5
    assert not first(create(url, "told-not-to", search={"published_start": False}))


def test_what_cannot_be_a_start_is_refused_and_registers_nothing(url):
    with pytest.raises(StudyError, match=r"there is no study 'nowhere' in the database; .* and no file has this name"):
        create(url, "refused", warm_start=["nowhere"])
    with pytest.raises(BatchlawError, match="warm_start: got 'small'; has no complete run with any of depth"):
        create(url, "refused", space={}, parameters={"depth": (1, 4)}, warm_start=["small"])
    with pytest.raises(StudyError, match="there is no study 'refused'"):
        Study.open("refused", url)


def test_the_command_tells_how_many(url, tmp_path):
    file = tmp_path / "next.toml"
    file.write_text(
        'name = "next"\nobjective = "ask"\ntrain_size = 1000\n[budget]\nepochs = 4\n[space]\nbatch_size = [8, 16]\n'
        'base_lr = {low = 1e-4, high = 1.0, log = true}\noptimizer = "sgd"\n'
        '[search]\ntrials = 10\nmetric = "loss"\ndirection = "minimize"\n'
    )
    command = ["create", str(file), "--storage", url, "--warm-start", "small"]
    assert "1 configuration is tried first." in CliRunner().invoke(app, command).output
    assert "next is registered already, so --warm-start changes nothing" in CliRunner().invoke(app, command).output
