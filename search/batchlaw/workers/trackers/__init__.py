"""Libraries that keep experiments, each in a module: MLflow, Weights & Biases, TensorBoard.

They are the user's. `batchlaw.workers.trackers.process` loads the one that a study names, and nothing else does.
"""

from importlib.util import find_spec

from batchlaw.errors import BatchlawError
from batchlaw.spec.log import Log

_PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb", "tensorboard": "tensorboard"}  # as pip knows them


def check_installed(log: Log | None) -> None:
    """Make sure that this machine has the library that a study is logged to.

    Raises:
        BatchlawError: it has not.
    """
    if log is None:
        return
    found = find_spec(log.to)
    if found is None or found.origin is None:  # without an origin it is a folder, such as the one that W&B writes
        raise BatchlawError(f"log.to: got {log.to!r}; its package is not installed: pip install {_PACKAGES[log.to]}")
