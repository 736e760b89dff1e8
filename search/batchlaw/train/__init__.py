"""Training in PyTorch: from a `TrainConfig` to a `TrainResult`, with reports on the way. Independent of Optuna."""

from batchlaw.recipe.result import Report
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.device import device_name
from batchlaw.train.stacking import configs_together
from batchlaw.train.training import train, train_together

__all__ = [
    "Checkpoint",
    "Report",
    "configs_together",
    "device_name",
    "train",
    "train_together",
]
