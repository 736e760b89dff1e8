"""Training a configuration outside a worker's trial, and how many configurations of a built-in task train together."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchlaw.errors import Diverged
from batchlaw.objectives.function import train_function
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.score import Score, score_of
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.result import Report
from batchlaw.recipe.space import point_of
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.train import configs_together, train
from batchlaw.train.data import load_parts


def train_config(
    config: TrainConfig,
    spec: StudySpec,
    report: Report,
    runtime: Runtime,
    *,
    stacked: bool | None = None,
    threads: int | None = None,
) -> Score:
    """Train a configuration from the start, with the study's task or with the user's function.

    Args:
        config: to train.
        spec: its study.
        report: called with the progress.
        runtime: where it trains.
        stacked: as in `train`.
        threads: of the CPU; None takes as many as make it faster.

    Raises:
        Diverged: every replicate diverged; with the user's function, one did whose untrained score is not known.
    """
    runtime.threads.use(threads or runtime.choose_threads([config]))
    if spec.user_code is not None:
        with tempfile.TemporaryDirectory(prefix="batchlaw-") as folder:  # nothing to resume from
            score = train_function(config, spec, report, runtime, Path(folder))
        if not math.isfinite(score.value):
            raise Diverged
        return score
    result = train(
        config, report, device=runtime.torch_device, data_dir=runtime.data_dir, stacked=stacked, test=runtime.test
    )
    return score_of(result, spec)


def cells_together(spec: StudySpec, study_seed: int, cells: Sequence[Mapping[str, Any]], runtime: Runtime) -> int:
    """How many of some cells, the first included, train fastest as one network.

    Args:
        spec: a designed study of a built-in task.
        study_seed: of its runs.
        cells: their parameters, which differ in the learning rate alone.
        runtime: where they train.
    """
    seeds = run_seeds(study_seed, spec.arm.replicates)
    configs = [derive(spec, point_of(cell, spec), seeds) for cell in cells]
    task = configs[0].task
    assert task is not None
    runtime.threads.use(runtime.choose_threads(configs[:1]))
    return configs_together(configs, load_parts(task, runtime.torch_device, runtime.data_dir).train)
