"""What several devices that share every batch gain, by measured seconds a step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchlaw.results.step_time import Row


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """A batch that several devices share, beside the same batch on one of them."""

    optimizer: str
    batch_size: int  # examples, of all devices
    devices: int
    seconds_a_step: float
    speed_up: float  # over one device
    deserved: bool  # whether it is the number of devices that the batch size deserves

    @property
    def efficiency(self) -> float:
        """The speed-up of each device; 1 where sharing costs nothing."""
        return self.speed_up / self.devices

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"efficiency": self.efficiency}


def deserved(seconds: Mapping[int, float]) -> int:
    """The number of devices that a batch deserves, by the seconds a step on each number of devices, one among them.

    It is the knee of speed-up against efficiency: where their product, the speed-up squared over the devices, is the
    largest. There each device gives at least about half of what one gives by itself (Eager, Zahorjan and Lazowska,
    Speedup versus efficiency in parallel systems, IEEE Transactions on Computers 38, 1989). Of equals it is the fewest.
    """
    return max(sorted(seconds), key=lambda n: (seconds[1] / seconds[n]) ** 2 / n)


def sharings_of(rows: Sequence["Row"]) -> tuple[Sharing, ...]:
    """Every batch size that was measured on one device and on several, by optimizer, batch size and devices."""
    cells: dict[tuple[str, int], dict[int, float]] = {}
    for row in rows:
        cells.setdefault((row.optimizer, row.batch_size), {})[row.devices] = row.seconds_a_step
    return tuple(
        Sharing(
            optimizer=optimizer, batch_size=batch_size, devices=n, seconds_a_step=seconds[n],
            speed_up=seconds[1] / seconds[n], deserved=n == deserved(seconds),
        )
        for (optimizer, batch_size), seconds in cells.items()
        if len(seconds) > 1 and 1 in seconds
        for n in sorted(seconds)
    )  # fmt: skip


def lines_of(sharings: Sequence[Sharing]) -> list[str]:
    """How many devices the batch sizes of one optimizer deserve, for people: a line for each number that some do."""
    at: dict[int, list[Sharing]] = {}
    for sharing in sharings:
        if sharing.deserved:
            at.setdefault(sharing.devices, []).append(sharing)
    lines = []
    for n, some in sorted(at.items()):
        sizes, efficiencies = ", ".join(f"{each.batch_size:,}" for each in some), [each.efficiency for each in some]
        least, most = f"{min(efficiencies):.0%}", f"{max(efficiencies):.0%}"
        gain = f" (efficiency {least if least == most else f'{least} to {most}'})" if n > 1 else ""
        lines.append(f"batch sizes that deserve {'one device' if n == 1 else f'{n} devices'}: {sizes}{gain}")
    return lines
