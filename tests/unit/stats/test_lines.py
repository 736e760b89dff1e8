"""The values of the lines that meet several sets, against linear programming."""

import numpy as np
import pytest
from batchlaw.stats.lines import values_of_lines
from scipy.optimize import linprog


@pytest.mark.parametrize("seed", range(20))
def test_the_ends_are_those_of_a_linear_program(seed):
    generator = np.random.default_rng(seed)
    x, half = np.arange(6.0), generator.uniform(0.2, 2.0, size=6)
    middle = generator.normal() + generator.normal() * x
    sets = np.stack([middle - half, middle + half], axis=1)
    sets[generator.integers(6), 0] = -np.inf
    sets[generator.integers(6), 1] = np.inf
    for at in (-1.5, 0.0, 2.4, 3.0, 7.0):
        rows, ends = np.stack([np.ones(6), x], axis=1), []
        kept = np.isfinite(np.concatenate([sets[:, 1], sets[:, 0]]))
        bounds = np.concatenate([rows, -rows])[kept], np.concatenate([sets[:, 1], -sets[:, 0]])[kept]
        for sign in (1, -1):
            found = linprog(sign * np.array([1, at]), *bounds, bounds=(None, None))
            ends.append(sign * found.fun if found.status == 0 else -sign * np.inf)
        assert values_of_lines(x, sets, at) == pytest.approx(ends)
