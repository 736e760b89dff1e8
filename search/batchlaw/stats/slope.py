"""A slope: how an optimum moves with a given factor."""

from dataclasses import dataclass

import numpy as np
from scipy import special

_WIDEST = 2.0  # from no relation to twice the linear rule (assumption)


@dataclass(frozen=True)
class Slope:
    """An estimate with its confidence interval; for a ridge in octaves per octave."""

    slope: float
    ci_low: float
    ci_high: float
    standard_error: float
    degrees_of_freedom: float
    bounded: bool = False  # only the ends are known: nothing says where between them the slope is likely to lie

    @property
    def undetermined(self) -> bool:
        """Whether it is only bounded, by ends so far apart that its middle tells nothing."""
        return self.bounded and self.ci_high - self.ci_low > _WIDEST

    @classmethod
    def of(cls, slope: float, standard_error: float, degrees_of_freedom: float, alpha: float) -> "Slope":
        """An estimate with Student's interval."""
        reach = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2)) * standard_error
        return cls(
            float(slope), float(slope - reach), float(slope + reach), float(standard_error), float(degrees_of_freedom)
        )

    @classmethod
    def between(cls, low: float, high: float, alpha: float, *, bounded: bool = False) -> "Slope":
        """An estimate whose confidence set has these ends; its standard error is what a normal one would have."""
        error = (high - low) / 2 / float(special.ndtri(1 - alpha / 2))
        return cls((low + high) / 2, low, high, error, np.inf, bounded)
