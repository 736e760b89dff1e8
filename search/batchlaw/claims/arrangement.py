"""How runs lie over learning rate and batch size, and what such an arrangement can tell."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from batchlaw.stats.scattered import Factor, Scattered
from batchlaw.stats.surface import Floats

Kind = Literal[
    "grid", "grid with holes", "one setting", "one learning rate", "one batch size", "one rate a batch size",
    "one factor at a time", "trials", "own rates", "no grid", "no learning rate told", "no batch size told",
]  # fmt: skip

# From these no optimum can be seen to move.
NO_SURFACE: tuple[Kind, ...] = (
    "one setting", "one learning rate", "one batch size", "one rate a batch size", "one factor at a time",
    "no learning rate told", "no batch size told",
)  # fmt: skip
_FULL = 0.6  # share of the cells of a grid that were run, as for a fitted surface
_FEWEST_OF_A_LEVEL, _FEWEST_LEVELS = 4, 3  # levels of the other factor, and how many such levels, for optima


@dataclass(frozen=True, eq=False)
class Arrangement:
    """The levels of runs that have a score, or diverged."""

    runs: Scattered
    sampled: bool = False  # a sampler chose the runs
    untold: Factor | None = None  # no column tells it, so that it is the same number everywhere

    @cached_property
    def rates(self) -> Floats:
        """The learning rates, ascending."""
        return np.unique(self.runs.lr)

    @cached_property
    def sizes(self) -> Floats:
        """The batch sizes, ascending."""
        return np.unique(self.runs.batch_size)

    @cached_property
    def cells(self) -> Floats:
        """The combinations that were run, (n_cells, 2): learning rate and batch size."""
        cells = pd.DataFrame({"lr": self.runs.lr, "size": self.runs.batch_size}).drop_duplicates()
        return np.asarray(cells.sort_values(["lr", "size"]).to_numpy(float))

    def levels_at(self, given: Factor, value: float) -> Floats:
        """The levels of the other factor that were tried at a level of the given one, ascending."""
        fixed, other = (1, 0) if given == "batch_size" else (0, 1)
        return np.asarray(self.cells[self.cells[:, fixed] == value, other])

    @cached_property
    def kind(self) -> Kind:
        """What the arrangement is called."""
        n_rates, n_sizes, n_cells = len(self.rates), len(self.sizes), len(self.cells)
        if self.untold is not None:
            return "no learning rate told" if self.untold == "lr" else "no batch size told"
        if n_cells == 1:
            return "one setting"
        if n_rates == 1:
            return "one learning rate"
        if self.sampled:
            return "trials"
        if n_sizes == 1:
            return "one batch size"
        if n_cells == n_sizes:
            return "one rate a batch size"
        if n_cells == n_rates * n_sizes:
            return "grid"
        if self.center is not None:
            return "one factor at a time"
        if n_cells >= _FULL * n_rates * n_sizes:
            return "grid with holes"
        return "own rates" if n_cells == n_rates else "no grid"

    @property
    def has_rows(self) -> bool:
        """Whether enough levels of one factor were tried at several of the other, each with or without holes."""
        counts = [np.unique(self.cells[:, axis], return_counts=True)[1] for axis in (0, 1)]
        return self.kind in ("grid", "grid with holes") or any(
            (count >= _FEWEST_OF_A_LEVEL).sum() >= _FEWEST_LEVELS for count in counts
        )

    @cached_property
    def center(self) -> tuple[float, float] | None:
        """The learning rate and batch size from which one factor was varied at a time; None if runs are otherwise."""
        for rate, size in self.cells:
            own = (self.cells[:, 0] == rate) | (self.cells[:, 1] == size)
            alone = [(self.cells[:, axis] == value).sum() for axis, value in enumerate((rate, size))]
            if own.all() and min(alone) >= 2:
                return float(rate), float(size)
        return None

    def sentences(self) -> list[str]:
        """What was run, and what follows from the arrangement alone."""
        n, kind = len(self.runs.lr), self.kind
        n_rates, n_sizes, n_cells = len(self.rates), len(self.sizes), len(self.cells)
        runs = f"{n} run{'s' if n != 1 else ''}"
        over = f"{_counted(n_rates, 'learning rate')} and {_counted(n_sizes, 'batch size')}"
        if kind == "no learning rate told":
            return [
                f"{runs} of {_counted(n_sizes, 'batch size')}, and no column tells the learning rate: nothing about "
                "the best rate, or about how a best batch size moves"
            ]
        if kind == "no batch size told":
            return [
                f"{runs} of {_counted(n_rates, 'learning rate')}, and no column tells the batch size: nothing about "
                "how a best rate moves with it"
            ]
        if kind == "one setting":
            return [f"{runs} of one learning rate and batch size: nothing to compare"]
        if kind == "one learning rate":
            return [
                f"{runs} of one learning rate, {self.rates[0]:.4g}, at {n_sizes} batch sizes: nothing about the best "
                "rate, or about how a best batch size moves"
            ]
        if kind == "one batch size":
            return [f"{runs} of {over}, {self.sizes[0]:g}: nothing about how a best rate moves with the batch size"]
        if kind == "one rate a batch size":
            return [
                f"{runs}, one learning rate at each of {n_sizes} batch sizes: the rate was chosen, not swept; nothing "
                "about the best rate",
                *self._moved(),
            ]
        if kind == "trials":
            return [f"{n} trials of {over}, no grid; a sampler chose them, and where it tried few little is known"]
        if kind == "one factor at a time":
            assert self.center is not None
            rate, size = self.center
            return [
                f"{runs}, one factor at a time around learning rate {rate:.4g} and batch size {size:g}: nothing about "
                "how the best of one moves with the other"
            ]
        if kind == "grid":
            told = [f"{runs} of {over}, a full grid"]
        elif kind == "own rates":
            told = [f"{runs} of {over}, each batch size with rates of its own"]
        else:
            told = [f"{runs} of {over}, in {n_cells} of {n_rates * n_sizes} cells"]
        return told + self._two_levels()

    def _moved(self) -> list[str]:
        """The rule by which the rate was moved with the batch size, where one power fits."""
        x, y = np.log2(self.cells[:, 1]), np.log2(self.cells[:, 0])
        if np.ptp(y) == 0 or len(x) < 2:
            return []
        power, offset = np.polyfit(x, y, 1)
        if np.abs(y - power * x - offset).max() > 0.05:
            return ["the rates follow no one power of the batch size"]
        return [f"the rates were set in proportion to B^{power:.2g}, which is a rule that was taken and not found"]

    def _two_levels(self) -> list[str]:
        """Two levels of a factor give a ratio."""
        told = []
        if len(self.sizes) == 2:
            told.append("two batch sizes give a ratio, not a slope")
        if len(self.rates) == 2:
            told.append("of two learning rates one is the better; no optimum lies between them")
        return told


def _counted(n: int, name: str) -> str:
    return f"{n} {name}{'' if n == 1 else 's'}"
