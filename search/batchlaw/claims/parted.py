"""A table that was read and parted, as its claims, laws, costs and recommendations share it."""

from dataclasses import dataclass
from typing import Any

from batchlaw.claims.strata import ONE_RUN, Stratum, strata_of
from batchlaw.claims.tables import counted
from batchlaw.results.plain import name_of
from batchlaw.tables.columns import Columns
from batchlaw.tables.opening import Data
from batchlaw.tables.reading import ReadTable, read_runs


@dataclass(frozen=True, eq=False)
class PartedTable:
    """The runs of a table, and the parts of it that are judged one by one.

    Attributes:
        runs: the rows, as read.
        strata: the parts, each at the best grade that its evidence allows.
        notes: sentences on what is missing, diverged, left out, merged or parted.
        alpha: one less the confidence of every interval.
    """

    runs: ReadTable
    strata: tuple[Stratum, ...]
    notes: tuple[str, ...]
    alpha: float

    @classmethod
    def read(cls, data: Data, alpha: float, **columns: Any) -> "PartedTable":
        """Read a table and part it; `columns` are those of `Columns.of`.

        Raises:
            DataError: as `read_runs`.
            BatchlawError: likewise.
        """
        runs = read_runs(data, Columns.of(**columns))
        strata, told = strata_of(runs, alpha=alpha)
        surfaces = [(stratum.levels, stratum.surface) for stratum in strata if stratum.surface is not None]
        return cls(runs, tuple(strata), counted(surfaces, runs.columns, [*runs.notes, *told]), alpha)

    @property
    def weaker(self) -> tuple[str, ...]:
        """Sentences on parts that have seeds and are not replicated for all that."""
        return tuple(
            f"{name_of(each.levels) or 'the table'} is {each.grade} and not replicated: {each.lacks[0]}"
            for each in self.strata
            if each.smooth is not None and each.lacks[0] != ONE_RUN
        )
