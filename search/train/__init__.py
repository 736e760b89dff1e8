"""The torch side: a `TrainConfig` and a report in, a `TrainResult` out. Knows nothing of Optuna."""

from search.train.checkpoint import Checkpoint
from search.train.loop import device_name, train
from search.train.result import Report, TrainResult

__all__ = ["Checkpoint", "Report", "TrainResult", "device_name", "train"]
