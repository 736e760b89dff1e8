"""Batch norm needs two examples where an image ends as one pixel."""

import pytest
from batchlaw.errors import SpecError
from batchlaw.recipe.derive import check_space
from batchlaw.train.parallel_runs import parts_of
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import tiny_spec
from tests.unit.train.conftest import config_of, run

RESNET = {"model": "resnet18", "model_options": {"widths": None, "norm": "batch"}, "train_size": 16}


def spec_of(*, norm="batch", dataset="digits", micro_batch_size=None, batch_size=(4,)):
    task = RESNET | {"dataset": dataset, "model_options": {"norm": norm}, "micro_batch_size": micro_batch_size}
    return tiny_spec(task=task, space={"batch_size": list(batch_size)})


@pytest.mark.parametrize("norm", ["batch", None])
def test_a_batch_of_one_is_refused_when_the_file_is_checked(norm):
    with pytest.raises(SpecError, match=r"space\.batch_size: got 1; must be at least 2 with resnet18 on digits"):
        check_space(spec_of(norm=norm, batch_size=[1, 4]))
    check_space(spec_of(norm="group", batch_size=[1, 4]))
    check_space(spec_of(norm=norm, dataset="mnist", batch_size=[1, 4]))  # its images end as 4 pixels by 4


def test_a_micro_batch_of_one_is_refused_when_the_file_is_checked():
    with pytest.raises(SpecError, match=r"task\.micro_batch_size: must be at least 2.*got 1"):
        spec_of(micro_batch_size=1)
    spec_of(micro_batch_size=1, norm="group")


@given(st.integers(2, 300), st.integers(2, 300))
def test_parts_are_a_batch_and_none_is_a_single_example(batch_size, size):
    parts = parts_of(batch_size, size, 2)
    assert sum(parts) == batch_size and min(parts) >= 2 and max(parts) <= max(size, 3)
    if batch_size % size != 1:
        assert parts == [*[size] * (batch_size // size), *([batch_size % size] if batch_size % size else [])]
    assert sum(parts_of(batch_size, size, 1)) == batch_size


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "micro_batch_size"), [(5, 4), (5, 2), (3, 2)])
def test_a_remainder_of_one_trains(batch_size, micro_batch_size):
    task = RESNET | {"model_options": {"norm": "batch"}, "micro_batch_size": micro_batch_size}
    config = config_of(
        task=task,
        budget={"steps": 2},
        batch_size=batch_size,
        base_lr=0.01,
        space={"batch_size": [batch_size]},
        reports=1,
    )
    assert run(config).metrics["validation_loss"] > 0
