"""The torch side: a `TrainConfig` and a report in, a `TrainResult` out. Knows nothing of Optuna."""

from search.train.checkpoint import Checkpoint
from search.train.loop import device_name
from search.train.result import Report, TrainResult
from search.train.stacking import configs_together
from search.train.training import train, train_together

__all__ = ["Checkpoint", "Report", "TrainResult", "configs_together", "device_name", "train", "train_together"]
