"""The plateau of the loss: against windows worked out by hand, and in training near a saddle point."""

import math

import pytest
import torch
from batchlaw.train import networks
from batchlaw.train.plateau import plateau_steps

from tests.unit.train.conftest import config_of, run


def test_the_plateau_ends_where_the_mean_of_a_window_falls():
    guess = math.log(10)
    losses = torch.full((100, 2), guess)
    losses[40:, 0] = 0.0  # the second member stays
    assert plateau_steps(losses, 64, math.log(10)) == [41.0, None]  # in one step's window, left at the 41st step
    # 8 steps a window: its mean is below 90 % once one of them is at 0, when it reaches from step 33 to 40.
    assert plateau_steps(losses, 8, math.log(10)) == [pytest.approx(37.5), None]


def test_scaled_down_weights_start_on_a_plateau():
    lengths = {}
    for scale in (None, 0.01):
        task = {"model_options": {"widths": [8], **({} if scale is None else {"init_scale": scale})}}
        config = config_of(seeds=(1, 2), budget={"steps": 400}, batch_size=16, base_lr=1.0, task=task)
        result = run(config.model_copy(update={"measures": ("plateau",)}), stacked=True)
        lengths[scale] = result.plateau_steps
        assert all(steps is not None for steps in result.plateau_steps)
    assert min(lengths[0.01]) > 2 * max(lengths[None])
    plain = networks.build(config_of().task, 1).state_dict()
    scaled = networks.build(config.task, 1).state_dict()
    for name, weight in plain.items():
        torch.testing.assert_close(scaled[name], 0.01 * weight)
