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
    OUT_OF_MEMORY = "out-of-memory"  # not even one example fits, or the code takes no less
    FAILED = "failed"  # a bug or a fault
    LOST = "lost"  # its worker died
    RUNNING = "running"
    WAITING = "waiting"


# These fill a slot of the budget. Failed and lost trials are run again.
ENDED = (Outcome.COMPLETE, Outcome.PRUNED, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
ENDINGS = (*ENDED, Outcome.FAILED, Outcome.LOST)


class Report(Protocol):
    """Called at equal fractions of the budget. It raises a `Stop` to end the training."""

    def __call__(self, progress: float, metrics: Mapping[str, float]) -> None:
        """Report metrics; `progress` is the fraction of the budget that is done, 0 < progress <= 1."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of a configuration, over all of its replicates.

    A diverged replicate has the metrics of its untrained network.
    """

    metrics: dict[str, float]  # means over replicates
    replicates: list[dict[str, float]]  # the metrics of each seed, in the order of config.seeds
    validation_standard_errors: dict[str, float]  # sampling error of one replicate's metrics, by the validation set
    diverged: list[bool]  # of each seed
    tail_loss_variance: list[float]  # of each seed: variance of the training loss over the last fifth of the steps
    # If config.measures asks for them: at each report the progress and, for each seed, losses and sharpness …
    curves: list[dict[str, Any]]
    plateau_steps: list[float | None]  # … and for each seed the steps until the loss leaves its first plateau, if ever
    train_seconds: float  # without evaluation; of configurations that trained together, its share
    examples_per_second: float  # of all replicates together
    device: str
    threads: int
    stacked: bool
    stack_size: int  # runs that trained as one network: 1, all seeds, or all seeds of several learning rates
    stacked_base_lrs: list[float]  # these learning rates, in the order of the stack
    micro_batch_size: int
    grad_accum_steps: int
    peak_memory_bytes: int  # of the accelerator, or of the process on the CPU
    flags: list[str] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """The fields by name, as stored in the database."""
        return dict(vars(self))
