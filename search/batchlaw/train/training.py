"""Training of a configuration, or of several at once."""

from collections.abc import Sequence
from pathlib import Path

import torch

from batchlaw.errors import DeviceMemoryError, Diverged, Interrupted
from batchlaw.recipe.result import Report, TrainResult
from batchlaw.spec import TrainConfig
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.data import load_test
from batchlaw.train.loop import Run
from batchlaw.train.results import results_of


def train(
    config: TrainConfig,
    report: Report,
    *,
    device: torch.device,
    data_dir: Path,
    stacked: bool | None = None,
    test: bool = False,
    checkpoint: Checkpoint | None = None,
) -> TrainResult:
    """Train every replicate of a configuration on a built-in task.

    Replicates advance together from report to report, either as one stacked network or one after another; the scores
    are the same up to rounding. On the CPU the result is a pure function of the configuration, `stacked` and the number
    of threads.

    Args:
        config: a configuration with a task.
        report: called at equal fractions of the budget with the means over replicates; its exceptions end the run.
        device: to train on.
        data_dir: with the data sets.
        stacked: whether replicates train as one stacked network; None measures which is faster.
        test: score the test data at the end.
        checkpoint: an interrupted run of this configuration continues from it; earlier reports are made again.

    Raises:
        Diverged: no replicate stayed finite; noticed at the next report.
        DeviceMemoryError: one example at a time does not fit, or the optimizer or the data do not.
        DataError: the data set is missing.
    """
    size = None if stacked is None else len(config.seeds) if stacked else 1
    [ended] = train_together(
        [config], [report], device=device, data_dir=data_dir, size=size, test=test, checkpoint=checkpoint
    )
    if isinstance(ended, Diverged):
        raise ended
    return ended


def train_together(
    configs: Sequence[TrainConfig],
    reports: Sequence[Report],
    *,
    device: torch.device,
    data_dir: Path,
    size: int | None = None,
    test: bool = False,
    checkpoint: Checkpoint | None = None,
) -> list[TrainResult | Diverged]:
    """Train several configurations that differ in the learning rate only.

    Each result is that of `train` up to rounding. On the CPU it is a pure function of the configurations, their order,
    `size` and the number of threads.

    Args:
        configs: one, or several for which `stacking.can_stack` is true.
        reports: one for each configuration.
        device: to train on.
        data_dir: with the data sets.
        size: runs that train as one network: 1, or all seeds of some of the configurations. None: all runs of several
            configurations; for one configuration the faster is measured.
        test: score the test data at the end.
        checkpoint: of these configurations in this order.

    Returns:
        The result of each configuration, or `Diverged` if no replicate of it stayed finite.

    Raises:
        DeviceMemoryError: one example at a time does not fit, or the optimizer or the data do not.
        DataError: the data set is missing.
    """
    try:
        run = _resumed(configs, device, data_dir, checkpoint) or Run(configs, device, data_dir, size)
        run.train(reports, checkpoint)
        return results_of(run, load_test(run.task, device, data_dir) if test else None)
    except Interrupted:
        if checkpoint:
            checkpoint.write()
        raise
    except torch.OutOfMemoryError as error:  # smaller micro-batches do not help, such as with the optimizer's state
        reason = str(error).partition(". ")[0]
        raise DeviceMemoryError(f"network, optimizer and data do not fit {device}: {reason}") from None


def _resumed(
    configs: Sequence[TrainConfig], device: torch.device, data_dir: Path, checkpoint: Checkpoint | None
) -> Run | None:
    """The run of a checkpoint; None if there is none, or it does not fit the configurations."""
    saved = checkpoint.load(device) if checkpoint else None
    if checkpoint is None or saved is None:
        return None
    try:
        run = Run(configs, device, data_dir, saved["size"])
        run.restore(saved)
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        checkpoint.set_aside(f"does not fit: {error}")
        return None
    return run
