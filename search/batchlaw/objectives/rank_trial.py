"""The part of a trial that one of the processes on its devices trains."""

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from batchlaw.errors import Diverged
from batchlaw.objectives.function import load_function
from batchlaw.objectives.ranks import ASKED
from batchlaw.objectives.score import finite_metric
from batchlaw.objectives.trial import Trial
from batchlaw.spec import StudySpec, TrainConfig


class _Trial(Trial):
    """A trial whose worker lives in another process."""

    def ask_for_parts(self) -> None:
        (self.run_dir / ASKED).touch()
        super().ask_for_parts()


def train_part(file: Path, folder: Path) -> None:
    """Call the function of a study once.

    Args:
        file: of the trial, in its folder.
        folder: of the study file.
    """
    known = json.loads(file.read_text(encoding="utf-8"))
    spec = StudySpec.model_validate_json(known["spec"])
    config = TrainConfig.model_validate_json(known["config"])
    assert spec.objective is not None
    is_first = os.environ["RANK"] == "0"
    torch.set_num_threads(max(1, torch.get_num_threads() * spec.nodes // spec.devices))

    def report(progress: float, metrics: Mapping[str, float]) -> None:
        finite_metric(metrics, spec)
        if is_first:
            _print({**metrics, "progress": progress})

    trial = _Trial(config, report, file.parent.parent, devices=spec.devices, micro_batch_size=spec.micro_batch_size)
    assert trial.run_dir == file.parent
    try:
        metrics = load_function(spec.objective, folder)(trial)
        finite_metric(metrics, spec)
    except Diverged:
        # The others may wait for this process. The worker ends all of them when it hears that the run diverged.
        _print({spec.arm.metric: math.nan, "progress": 1.0})
    else:
        if is_first:
            _print(metrics)


def _print(metrics: Mapping[str, float]) -> None:
    """Print numbers as one JSON line, at once."""
    line = json.dumps({name: float(value) for name, value in metrics.items()})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
