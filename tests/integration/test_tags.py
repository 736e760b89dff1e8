"""Words on trials, and the list of trials that shows them."""

import csv
import io
import json

import batchlaw as bl
import pytest
from batchlaw.errors import BatchlawError, StudyError

from tests.acceptance.conftest import run_here


@pytest.fixture
def study(tmp_path):
    """A study of two trials, one of which diverged."""
    study = bl.Study.create(
        storage=f"sqlite:///{tmp_path / 'batchlaw.db'}", name="own", metric="loss", direction="minimize", trials=2,
        train_size=1000, epochs=2, space={"batch_size": (8, 64), "base_lr": (1e-3, 1.0)},
    )  # fmt: skip
    study.tell(study.ask(), {"loss": 0.5})
    study.tell(study.ask(), {"loss": float("nan")})
    return study


def test_tags_stay_with_their_trial(study):
    assert study.tag(0, "candidate", "[red]odd") == ["candidate", "[red]odd"]
    assert study.tag(0, "candidate", "third") == ["candidate", "[red]odd", "third"]
    assert study.tag(0, "third", remove=True) == ["candidate", "[red]odd"]
    assert list(study.trials()["tags"]) == ["candidate [red]odd", ""]
    assert study.tag(0, remove=True) == [] == study.tag(0)


@pytest.mark.parametrize("tag", ["", "two words", "a\nb", "x" * 51])
def test_a_wrong_tag_is_refused_and_nothing_is_stored(study, tag):
    with pytest.raises(BatchlawError, match="1 to 50 characters"):
        study.tag(0, "fine", tag)
    assert study.tag(0) == []
    with pytest.raises(StudyError, match="no trial 7"):
        study.tag(7, "fine")


def test_every_trial_is_listed_for_people_and_programs(study, tmp_path):
    assert run_here(tmp_path, "tag", "own", 1, "[red]odd").stdout == "[red]odd\n"
    shown = run_here(tmp_path, "trials", "own").stdout
    assert "complete" in shown and "diverged" in shown and "[red]odd" in shown and "loss" in shown
    rows = list(csv.DictReader(io.StringIO(run_here(tmp_path, "trials", "own", "--csv").stdout)))
    assert [(row["number"], row["outcome"], row["tags"]) for row in rows] == [
        ("0", "complete", ""),
        ("1", "diverged", "[red]odd"),
    ]
    listed = json.loads(run_here(tmp_path, "trials", "own", "--json").stdout)
    assert [row["value"] for row in listed] == [0.5, None]
