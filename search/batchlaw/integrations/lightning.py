"""PyTorch Lightning under a study, of either package, `lightning` or `pytorch_lightning`.

from batchlaw.integrations.lightning import TrialCallback, configure_optimizers, data_loader, trainer_arguments

class Model(LightningModule):
    def configure_optimizers(self):
        return configure_optimizers(self.trial, self)
    ...

def train(trial):
    trainer = Trainer(**trainer_arguments(trial, val_check_interval=50), callbacks=[TrialCallback(trial)])
    trainer.fit(Model(trial), data_loader(trial, data), validation_loader)
    return trainer.callback_metrics        # what the module has logged
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.guard import Guard
from batchlaw.objectives.trial import Trial

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")
# The package that the user has imported, else the one that is installed.
_NAME = next((name for name in _PACKAGES if name in sys.modules), None)
try:
    _lightning: Any = importlib.import_module(_NAME or _PACKAGES[0])
except ModuleNotFoundError:
    _lightning = importlib.import_module(_PACKAGES[1])


def trainer_arguments(trial: Trial, **own: Any) -> dict[str, Any]:
    """The arguments of a Trainer by name: the number of updates, accumulation and devices of a trial.

    Args:
        trial: the training function's argument. Its folder is the default of `default_root_dir`.
        own: further arguments of the Trainer.

    Raises:
        ObjectiveError: one of them is decided by the trial, or the study tells no number of updates.
    """
    if trial.config.steps is None:
        raise ObjectiveError("trainer_arguments: the study tells no number of updates (a [budget])")
    decided = {
        "max_steps": trial.config.steps, "max_epochs": -1, "accumulate_grad_batches": trial.accumulate,
        "devices": trial.devices, "strategy": "ddp" if trial.devices > 1 else "auto",
        "use_distributed_sampler": False,  # each process takes its share of a batch from `data_loader`
    }  # fmt: skip
    twice = sorted(decided.keys() & own.keys())
    if twice:
        raise ObjectiveError(f"trainer_arguments: {', '.join(twice)} must be left out; the trial decides them")
    return {"default_root_dir": str(trial.run_dir)} | own | decided


def configure_optimizers(trial: Trial, module: nn.Module) -> dict[str, Any]:
    """What `LightningModule.configure_optimizers` returns: the optimizer and the schedule of a trial."""
    optimizer = trial.optimizer(module)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": trial.schedule(optimizer), "interval": "step"}}


def data_loader(trial: Trial, data: Any, **own: Any) -> "DataLoader[Any]":
    """The training data in the batches of a trial; to Lightning the whole run is one epoch.

    Args:
        trial: the training function's argument.
        data: a data set with a length.
        own: further arguments of `torch.utils.data.DataLoader`, such as `num_workers`.
    """
    return DataLoader(data, batch_sampler=trial.batches(len(data)), **own)


class TrialCallback(_lightning.Callback):  # type: ignore[misc]  # whose package is known when it is imported
    """Reports every validation to the study, and compares every update with the trial; see `Trial.guard`.

    A trial that is pruned ends by an exception out of `Trainer.fit`. The examples of a batch are the length of its
    first tensor. Of several optimizers the first is watched.
    """

    def __init__(self, trial: Trial) -> None:
        """Report to a trial."""
        self._trial = trial
        self._guard: Guard | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch the updates."""
        if trainer.world_size != self._trial.devices:
            raise ObjectiveError(f"the Trainer has {trainer.world_size} devices; the trial {self._trial.devices}")
        self._guard = self._trial.guard(
            trainer.optimizers[0], done=trainer.global_step, loader=trainer.train_dataloader
        )

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Count the examples."""
        assert self._guard is not None
        self._guard.saw_batch(batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what the module has logged."""
        if trainer.is_global_zero and trainer.global_step and not trainer.sanity_checking:
            steps = self._trial.config.steps or trainer.max_steps
            metrics: Mapping[str, Any] = trainer.callback_metrics
            numbers = {name: float(value) for name, value in metrics.items()}
            self._trial.report(min(trainer.global_step / steps, 1.0), numbers)
