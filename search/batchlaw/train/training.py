"""The training run of a configuration, or of several at once."""

from collections.abc import Sequence
from pathlib import Path

import torch

from batchlaw.errors import Diverged, Interrupted
from batchlaw.recipe.result import Report, TrainResult
from batchlaw.spec import TrainConfig
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.data import load_test
from batchlaw.train.loop import Run


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

    Replicates advance together from report to report, as one stacked network where a measurement says that it pays,
    otherwise in turn; the scores are the same up to rounding. On the CPU the result is a pure function of the
    configuration, `stacked` and the number of threads.

    Args:
        config: a configuration with a task.
        report: called at each share of the budget with the means over replicates; what it raises ends the run.
        device: where to train.
        data_dir: where data sets are kept.
        stacked: how to train several replicates; None measures.
        test: score the test data at the end as well.
        checkpoint: where an interrupted run of this configuration goes on from, after its reports were made again.

    Raises:
        Diverged: every replicate left the finite numbers; noticed at the next report.
        DeviceMemoryError: one example at a time does not fit.
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
    """Train several configurations that differ in the learning rate alone, as `train` does each of them.

    Each result is that of `train` up to rounding, and on the CPU a pure function of the configurations, their order,
    `size` and the number of threads.

    Args:
        configs: at least one; more where `stacking.can_stack` holds of them.
        reports: of each configuration.
        device: where to train.
        data_dir: where data sets are kept.
        size: how many runs make a network: 1, or all seeds of so many configurations. None measures for one
            configuration, and takes all runs of several.
        test: score the test data at the end as well.
        checkpoint: of these configurations together.

    Returns:
        Of each configuration its result, or its divergence where no replicate of it stayed finite.
    """
    kept = checkpoint.load(device) if checkpoint else None
    run = Run(configs, device, data_dir, kept["size"] if kept else size)
    if kept:
        run.restore(kept)
    try:
        run.train(reports, checkpoint)
    except Interrupted:
        if checkpoint:
            checkpoint.write()
        raise
    return run.results(load_test(run.task, device, data_dir) if test else None)
