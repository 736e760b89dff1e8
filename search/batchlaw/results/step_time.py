"""Seconds a step at each batch size on one device or several, as `batchlaw.measure.profiler` measured them."""

from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from math import ceil, log2
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from batchlaw.errors import BatchlawError
from batchlaw.results.sharing import Sharing, deserved, lines_of, sharings_of
from batchlaw.spec.families import OptimizerFamily
from batchlaw.stats import timing

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy

_LEVELS = 5  # batch sizes that a knee needs: two lines that meet have four parameters


@dataclass(frozen=True, kw_only=True)
class Row:
    """The time of a step at one batch size with one optimizer, on one device or shared by several."""

    optimizer: OptimizerFamily
    batch_size: int  # examples, of all devices
    seconds_a_step: float  # median over the timed stretches of steps
    iqr_seconds: float  # distance between the quartiles of the stretches
    micro_batch_size: int  # examples computed at once by a device
    peak_memory_bytes: int | None  # allocated on an accelerator, including the data set; None on a CPU
    threads: int | None = None  # of the CPU; None in older profiles, which have those of the profile
    devices: int = 1  # that share the batch

    @property
    def examples_a_second(self) -> float:
        """Examples that training sees in a second."""
        return self.batch_size / self.seconds_a_step

    @property
    def grad_accum_steps(self) -> int:
        """Micro-batches a step on each device."""
        return ceil(self.batch_size / self.devices / self.micro_batch_size)


@dataclass(frozen=True)
class Largest:
    """The largest batch that was computed in one piece, and why no larger one was."""

    batch_size: int
    bound: Literal["out of memory", "training size", "free memory"]
    refused: int | None = None  # the smallest batch that ran out of memory

    def line(self) -> str:
        """For people."""
        known = f"largest batch in one piece: {'at least ' * (self.refused is None)}{self.batch_size:,}"
        if self.refused is not None:
            return f"{known}; {self.refused:,} ran out of memory"
        if self.bound == "training size":
            return f"{known}, the training size"
        return f"{known}; a larger one was not tried, since it might take all free memory"


@dataclass(frozen=True)
class Knee:
    """The batch size from which a step takes longer; growths are the factor of its time for twice the batch."""

    batch_size: int | None  # None: no knee within the batch sizes measured
    growth_below: float | None  # without a knee, over all batch sizes; None: too few batch sizes to tell
    growth_above: float | None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Seconds a step against batch size, for a kind of device and its CPU threads, and one replicate at a time.

    What is said of an optimizer holds for one device, unless a number of devices is given.
    """

    study: str
    device: str
    threads: int  # the most of any batch size
    precision: str
    replicates: int
    measured_at: str  # ISO 8601, UTC
    versions: dict[str, str]
    rows: tuple[Row, ...]  # by devices and optimizer, then ascending in batch size
    largest: Largest | None  # None where it was not looked for: of times that trials tell

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Read a profile back from its JSON; what is computed from the rows is left out."""
        known = {field.name for field in fields(Row)}
        rows = tuple(Row(**{name: row[name] for name in known & row.keys()}) for row in record["rows"])
        facts = {field.name: record[field.name] for field in fields(cls)}
        return cls(**facts | {"rows": rows, "largest": record["largest"] and Largest(**record["largest"])})

    def as_record(self) -> dict[str, Any]:
        """For JSON, with what is computed from the rows."""
        follows = ("examples_a_second", "grad_accum_steps")
        rows = [asdict(row) | {name: getattr(row, name) for name in follows} for row in self.rows]
        found = {
            optimizer: {"knee": asdict(self.knee(optimizer)), "fastest_batch_size": self.fastest(optimizer).batch_size}
            for optimizer in self.optimizers
        }
        shared = [sharing.as_dict() for sharing in self.sharings()]
        return asdict(self) | {"rows": rows, "optimizers": found} | ({"sharing": shared} if shared else {})

    @property
    def optimizers(self) -> tuple[OptimizerFamily, ...]:
        """The optimizers that were measured."""
        return tuple(dict.fromkeys(row.optimizer for row in self.rows))

    @property
    def noise(self) -> float:
        """The distance between the quartiles of the stretches over their median; the median over all rows."""
        return float(np.median([row.iqr_seconds / row.seconds_a_step for row in self.rows]))

    @property
    def devices(self) -> tuple[int, ...]:
        """The numbers of devices that were measured, ascending."""
        return tuple(sorted({row.devices for row in self.rows}))

    def sharings(self, optimizer: str | None = None) -> tuple[Sharing, ...]:
        """What sharing each batch among several devices gains; empty where one device was measured only."""
        return tuple(each for each in sharings_of(self.rows) if optimizer in (None, each.optimizer))

    def sharing_lines(self, optimizer: str) -> list[str]:
        """How many devices its batch sizes deserve, for people."""
        return lines_of(self.sharings(optimizer))

    def devices_deserved(self, batch_size: int, optimizer: str) -> int | None:
        """How many of the measured numbers of devices a batch deserves; None where only one device was measured."""
        seconds = {}
        for n in self.devices:
            with suppress(BatchlawError):  # outside of what was measured
                if batch_size % n == 0:
                    seconds[n] = self.seconds_a_step_at(batch_size, optimizer, n)
        return deserved(seconds) if len(self.devices) > 1 and 1 in seconds else None

    def rows_of(self, optimizer: str, devices: int = 1) -> list[Row]:
        """The rows of one optimizer on so many devices, ascending in batch size.

        Raises:
            BatchlawError: the optimizer was not measured.
        """
        rows = [row for row in self.rows if row.optimizer == optimizer and row.devices == devices]
        if not rows:
            raise BatchlawError(f"optimizer: got {optimizer!r}; measured are {', '.join(self.optimizers)}")
        return rows

    def fastest(self, optimizer: str) -> Row:
        """The row with the most examples a second."""
        return max(self.rows_of(optimizer), key=lambda row: row.examples_a_second)

    def seconds_a_step_at(self, batch_size: float, optimizer: str, devices: int = 1) -> float:
        """Interpolated between the measured batch sizes, linear in log-log.

        Raises:
            BatchlawError: the batch size lies outside the measured ones, or the optimizer was not measured.
        """
        rows = self.rows_of(optimizer, devices)
        low, high = rows[0].batch_size, rows[-1].batch_size
        if not low <= batch_size <= high:
            raise BatchlawError(f"batch_size: got {batch_size:g}; must be between {low} and {high}, as measured")
        x, y = np.log2([[row.batch_size, row.seconds_a_step] for row in rows]).T
        return float(2 ** np.interp(log2(batch_size), x, y))

    def knee(self, optimizer: str) -> Knee:
        """Where two lines meet that fit log₂ seconds on log₂ batch size better than one line does."""
        rows = self.rows_of(optimizer)
        if len(rows) < _LEVELS:
            return Knee(None, None, None)
        x, y = np.log2([[row.batch_size, row.seconds_a_step] for row in rows]).T
        found = timing.knee(x, y)
        at = int(np.searchsorted(x, found.at))
        below, above = 2**found.below.slope, float(2 ** np.polyfit(x[at:], y[at:], 1)[0]) if x[at] < x[-1] else 0.0
        if above <= below:  # one line fits, or the bend goes the other way
            return Knee(None, float(2 ** np.polyfit(x, y, 1)[0]), None)
        return Knee(rows[at].batch_size, below, above)

    def where(self) -> str:
        """The device, threads and precision that it holds for, for people."""
        fewest = min(row.threads or self.threads for row in self.rows)
        threads = f"{fewest} to {self.threads}" if fewest < self.threads else f"{fewest}"
        return f"on {self.device}, {threads} thread{'s' * (self.threads != 1)}, {self.precision}"

    def line(self, optimizer: str) -> str:
        """The knee and the fastest batch size, for people."""
        rows, found = self.rows_of(optimizer), self.knee(optimizer)
        within = f"{rows[0].batch_size:,} … {rows[-1].batch_size:,}"
        if found.growth_below is None:
            knee = f"no knee can be told from {len(rows)} batch size{'s' * (len(rows) != 1)}; {_LEVELS} are needed"
        elif found.batch_size is None:
            knee = f"no knee within {within}: twice the batch takes {found.growth_below:.2f}× the time throughout"
        else:
            knee = (
                f"knee at {found.batch_size:,}: twice the batch takes {found.growth_below:.2f}× the time below it, "
                f"{found.growth_above:.2f}× above"
            )
        return f"{knee}; most examples a second at {self.fastest(optimizer).batch_size:,}"


def profile_of_study(stored: "StoredStudy", on: str | None = None) -> Profile | None:
    """The latest profile that is kept with a study, of a device whose name has `on`; None where there is none of any.

    Raises:
        BatchlawError: it has none of such a device.
    """
    from batchlaw.storage import profiles_of

    profiles = [Profile.from_record(record) for record in profiles_of(stored)]
    chosen = [profile for profile in profiles if on is None or on in profile.device]
    if on is not None and not chosen:
        known = ", ".join(profile.device for profile in profiles) or "none"
        raise BatchlawError(f"study {stored.spec.name!r} has profiles of: {known}", argument="on", got=on)
    return max(chosen, key=lambda profile: profile.measured_at, default=None)
