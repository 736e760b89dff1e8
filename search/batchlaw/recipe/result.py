"""What a training run reports and returns, in plain numbers that JSON can hold, and how its trial ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Outcome(StrEnum):
    """How a trial ended, or where it stands."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    DIVERGED = "diverged"  # a result: its score is that of the untrained network
    OUT_OF_MEMORY = "out-of-memory"  # not even one example at a time fits on the device
    FAILED = "failed"  # a bug or a fault
    LOST = "lost"  # its worker died
    RUNNING = "running"
    WAITING = "waiting"


# These fill a slot of the budget. Failed and lost trials are run again.
ENDED = (Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
ENDINGS = (*ENDED, Outcome.FAILED, Outcome.LOST)


class Report(Protocol):
    """Called at equal shares of the budget; raises when the trial is pruned or interrupted."""

    def __call__(self, progress: float, metrics: Mapping[str, float]) -> None:
        """Report the metrics after `progress` (0 < progress <= 1) of the budget."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """One finished run of all replicates of a configuration.

    A diverged replicate carries the metrics of its untrained network.
    """

    metrics: dict[str, float]  # means over replicates
    replicates: list[dict[str, float]]  # the metrics of each seed, in the order of config.seeds
    validation_standard_errors: dict[str, float]  # of one replicate's metrics, from the finite validation set
    diverged: list[bool]  # of each seed
    tail_loss_variance: list[float]  # of each seed: from step to step, over the last fifth of the steps
    # Where config.measures asks for them: at each report the progress and, of each seed, losses and sharpness …
    curves: list[dict[str, Any]]
    plateau_steps: list[float | None]  # … and of each seed the steps until the loss left its first plateau, if it did
    train_seconds: float  # without evaluation; where several configurations trained together, its share
    examples_per_second: float  # of all replicates together
    device: str
    threads: int
    stacked: bool
    stack_size: int  # runs that trained as one network: 1, all seeds, or those of several learning rates …
    stacked_base_lrs: list[float]  # … which are these, in the order of the stack
    micro_batch_size: int
    grad_accum_steps: int
    peak_memory_bytes: int  # of the accelerator, or of the process on the CPU
    flags: list[str] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """For the database."""
        return dict(vars(self))
