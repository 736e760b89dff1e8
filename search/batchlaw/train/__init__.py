"""Training in PyTorch: from a `TrainConfig` to a `TrainResult`, with reports on the way. Independent of Optuna."""

from batchlaw.recipe.result import Report, TrainResult
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.device import device_name, device_named
from batchlaw.train.stacking import configs_together
from batchlaw.train.training import train, train_together

__all__ = [
    "Checkpoint",
    "Report",
    "TrainResult",
    "configs_together",
    "device_name",
    "device_named",
    "train",
    "train_together",
]
