"""Finite scores of runs that diverged are noticed; those of smooth surfaces, walls and untrained runs are not."""

import numpy as np
import pandas as pd
import pytest
from batchlaw.claims.divergence import suspects
from batchlaw.claims.table_claim import claim
from batchlaw.stats.surface import Surface

from tests.unit.claims.test_tables import table_of

SEEDS = 5


def grid(loss, *, n_given=9, n_tuned=9, step=1.0, slope=1.0, noise=0.02, tail=None, seed=0, relative=False):
    """A surface of losses over u, octaves of the rate above the best one of the batch size, rates given."""
    draw = np.random.default_rng(seed)
    x, y = step * (np.arange(n_given) - n_given // 2), step * (np.arange(n_tuned) - n_tuned // 2)
    u = (x[:, None] - slope * y[None])[:, :, None] + np.zeros(SEEDS)
    shake = draw.standard_t(tail, u.shape) if tail else draw.normal(size=u.shape)
    shake = shake + draw.normal(size=SEEDS)
    losses = loss(u) * np.exp(noise * shake) if relative else loss(u) + noise * shake
    return Surface(2.0**x, 2.0 ** (y + 8), -losses, np.zeros(u.shape, dtype=bool))


def valley(u):
    """A loss with a plain on one side and a steep rise on the other, from 2.4 up."""
    return 2.4 + 0.1 * np.abs(u) + 0.05 * np.maximum(u, 0) ** 2


def test_losses_far_above_the_rest_are_noticed():
    surface = grid(lambda u: np.where(u > 5, 6.5, valley(u)))
    found = suspects(surface, maximize=False)
    diverged = -surface.scores > 5
    assert found.n == diverged.sum() == 30 and -surface.scores[~diverged].max() < found.bound < 6.4


def test_a_plateau_of_guessing_is_noticed_though_losses_reach_it_without_a_gap():
    surface = grid(lambda u: np.where(u > 3, np.log(10), np.minimum(0.2 + 0.17 * u**2, 2.2)), noise=0.01)
    found = suspects(surface, maximize=False)
    assert found.n >= 0.9 * (-surface.scores > 2.27).sum() and 2.2 < found.bound < 2.3


def test_accuracies_of_chance_are_noticed():
    draw = np.random.default_rng(0)

    def accuracy(u):
        chance = draw.choice([0.098, 0.1009, 0.1028, 0.1032, 0.1], u.shape)
        return np.where(u > 3, chance, 0.97 - 0.01 * u**2)

    surface = grid(lambda u: -accuracy(u), noise=0.0)
    found = suspects(surface, maximize=True)
    assert found.n == (surface.scores < 0.11).sum() == 75
    assert 0.1032 < found.bound < 0.7


@pytest.mark.parametrize("bound", [2, 2.5, 6])
def test_the_bound_parts_them_from_all_others_in_few_digits(bound):
    surface = grid(lambda u: np.where(u > 5, bound * 1.3, valley(u) * bound / 6))
    found = suspects(surface, maximize=False)
    rest = -surface.scores[-surface.scores < found.bound]
    assert len(f"{found.bound:g}") <= 4 and rest.max() < bound < bound * 1.25 and found.n == 30


SMOOTH = {
    "parabola": lambda u: 1 + 0.1 * u**2,
    "parabola from 0": lambda u: 0.01 + u**2,
    "log-cosh": lambda u: 1 + np.log(np.cosh(u)),
    "tails that are lines": lambda u: 0.3 + np.abs(u),
    "wall": lambda u: 0.5 + 0.05 * np.maximum(-u, 0) + np.expm1(np.maximum(u, 0)),
    "wall of powers of 4": lambda u: 0.5 + 0.02 * np.maximum(-u, 0) + 0.1 * 4 ** np.maximum(u, 0),
    "wall of powers of 16": lambda u: 0.5 + 0.02 * np.maximum(-u, 0) + 0.01 * 16 ** np.maximum(u, 0),
    "power law": lambda u: 0.5 + 0.3 * (2 ** np.maximum(-u, 0)) ** 0.4 + np.maximum(u, 0) ** 2,
    "flat": lambda u: 1 + 0 * u,
    "still falling": lambda u: 2 - 0.05 * u,
    "still rising": lambda u: 2 + 0.05 * u,
    "valley": valley,
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 20.0])
def test_smooth_surfaces_have_no_suspects(name, slope):
    for step in (1.0, 0.5, 0.25):
        for seed in range(3):
            for noise in ({"noise": 0.02}, {"noise": 0.1, "tail": 3}, {"noise": 0.2, "relative": True, "tail": 4}):
                surface = grid(SMOOTH[name], slope=slope, step=step, seed=seed, **noise)
                assert suspects(surface, maximize=False) is None, (step, seed, noise)
                turned = Surface(surface.given, surface.tuned, surface.scores, surface.unstable)
                assert suspects(turned, maximize=True) is None, (step, seed, noise)


def test_runs_that_were_not_trained_yet_are_no_suspects():
    """At rates far too low the loss is that of guessing, too."""
    surface = grid(lambda u: np.where(u < -3, np.log(10), np.minimum(0.2 + 0.15 * u**2, 2.2)), noise=0.003)
    assert suspects(surface, maximize=False) is None


def test_runs_that_are_named_are_not_said_again():
    surface = grid(lambda u: np.where(u > 5, 6.5, valley(u)))
    unstable = -surface.scores > 5
    scores = np.where(unstable, surface.scores[~unstable].min(), surface.scores)
    assert suspects(Surface(surface.given, surface.tuned, scores, unstable), maximize=False) is None


def test_the_claim_says_so_and_how_to_name_them():
    surface = grid(lambda u: np.where(u > 5, 6.5, valley(u)))
    table = table_of(surface).assign(loss=lambda frame: -frame["score"])
    columns = {"batch_size": "batch", "score": "loss", "seed": "seed", "direction": "minimize"}
    found = claim(table, **columns)
    (note,) = found.notes
    assert note == "30 runs with a score above 5 look diverged; --diverged-above 5 names them so"
    named = claim(table, **columns, diverged_above=5)
    assert named.notes[0].startswith("30 of 405 runs diverged") and len(named.notes) == 1
    turned = claim(table, **(columns | {"score": "score", "direction": "maximize"}))
    assert turned.notes == ("30 runs with a score below -5 look diverged; --diverged-below -5 names them so",)
    smooth = table_of(grid(valley)).assign(loss=lambda frame: -frame["score"], net="b")
    both = [table.assign(net="a"), smooth, table.assign(net="c")]
    grouped = claim(pd.concat(both), **columns, by="net")
    assert grouped.notes == ("60 runs look diverged, in 2 of 3 groups; --diverged-above 5 names those of net = a so",)
