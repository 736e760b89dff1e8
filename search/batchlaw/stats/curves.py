"""Curves on log₂ scales that an optimum may follow as the batch size grows, with their derivatives.

A curve has two parameters: the first shifts it up or down, the second is its slope or the log₂ batch size where it
bends. Functions take parameters (n_fits, 2) and log₂ batch sizes x (n,), and return (n_fits, n).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats

BEND_OCTAVES = 6.0  # a curve that bends further than this beyond x is straight on x, to within 2 % of an octave


@dataclass(frozen=True)
class Curve:
    """A family of curves, one for each pair of parameters."""

    name: str
    formula: str
    bends: bool  # the second parameter is the log₂ of a batch size, not a slope
    shape: Callable[[Floats, Floats], Floats]  # the unshifted curve: second parameter (n_fits,), x (n,) → (n_fits, n)
    by_second: Callable[[Floats, Floats], Floats]  # its derivative by the second parameter

    def mean(self, parameters: Floats, x: Floats) -> Floats:
        """The curve at x, (n_fits, n)."""
        return np.asarray(parameters[:, :1] + self.shape(parameters[:, 1], x))

    def jacobian(self, parameters: Floats, x: Floats) -> Floats:
        """Its derivatives by both parameters, (n_fits, n, 2)."""
        second = self.by_second(parameters[:, 1], x)
        return np.stack([np.ones_like(second), second], axis=2)

    def bounds(self, x: Floats) -> tuple[float, float]:
        """Bounds of the second parameter."""
        return (x.min() - BEND_OCTAVES, x.max() + BEND_OCTAVES) if self.bends else (-np.inf, np.inf)


def _octaves_below(bend: Floats, x: Floats) -> Floats:
    return np.asarray((bend[:, None] - x) * np.log(2))


LINE = Curve(
    name="log-linear",
    formula="ε = c·B^s",
    bends=False,
    shape=lambda slope, x: slope[:, None] * x,
    by_second=lambda slope, x: np.broadcast_to(x, (len(slope), len(x))),
)
# McCandlish et al. 2018 (arXiv:1812.06162), equation 2.7, for SGD.
MCCANDLISH = Curve(
    name="mccandlish",
    formula="ε = ε_max/(1 + B_crit/B)",
    bends=True,
    shape=lambda bend, x: -np.logaddexp(0, _octaves_below(bend, x)) / np.log(2),
    by_second=lambda bend, x: -special.expit(_octaves_below(bend, x)),
)
# Li et al. 2024 (arXiv:2405.14578), equation 20, for optimizers like Adam: it peaks at B_crit and falls beyond.
SURGE = Curve(
    name="surge",
    formula="ε = 2·ε_max/(√(B_crit/B) + √(B/B_crit))",
    bends=True,
    shape=lambda bend, x: -np.log2(np.cosh(_octaves_below(bend, x) / 2)),
    by_second=lambda bend, x: -np.tanh(_octaves_below(bend, x) / 2) / 2,
)
