"""The contract of a training function of your own: what it gets, what it returns and what it may raise."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlaw.errors import ConfigError
from batchlaw.recipe.arguments import equal_parts
from batchlaw.recipe.result import Report
from batchlaw.recipe.schedule import lr_multiplier
from batchlaw.shared_files import check_link
from batchlaw.spec import TrainConfig

if TYPE_CHECKING:  # PyTorch takes a second to import, and `import batchlaw` must not
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from batchlaw.objectives.batches import Batches
    from batchlaw.objectives.guard import Guard


class Trial:
    """One configuration to train with one seed: the only argument of a training function.

    A study file names the function (`objective = "own_training:train"`). The function trains one network from scratch
    and returns its final metrics, the study's metric among them:

        import torch

        def train(trial):
            torch.manual_seed(trial.seed)
            model = torch.nn.Linear(1, 1)
            optimizer = trial.optimizer(model)
            schedule = trial.schedule(optimizer)
            for step in range(trial.config.steps):
                x = torch.randn(trial.batch_size, 1)
                loss = (model(x) - 3 * x).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                if (step + 1) % 10 == 0:
                    trial.report((step + 1) / trial.config.steps, {"loss": loss.item()})
            return {"loss": loss.item()}

    Replicates: with `replicates = n` the function is called n times, each time with another `seed`. The value of the
    trial is the mean of the metric. Only the first replicate reports, so only it can be pruned; in the others `report`
    looks for divergence and does nothing else. If one replicate diverges, the trial has diverged. A search then leaves
    the others out. A claim trains them, since each seed is an outcome, unless the first two diverged: then the rest are
    not trained and count as diverged.

    Divergence: if the study's metric is NaN or infinite, reported or returned, the run diverged. That is a result, and
    the trial is not run again. `raise batchlaw.errors.Diverged({"loss": 2.3})` says the same, with the metrics of the
    untrained network: they tell the sampler how bad the region is, and a claim counts the run with them. Without them
    it counts the run with the worst score of the study.

    Errors: any other exception, and `sys.exit`, fails the trial. Its parameters are run again, at most `max_retries`
    times.

    Resuming: a worker that is stopped or dies gives its trial to another worker, which calls the function again from
    the start, with the same `config`, `seed` and `run_dir`. A function that saves its state in `run_dir` can go on.
    """

    def __init__(
        self,
        config: TrainConfig,
        report: Report,
        folder: Path,
        *,
        number: int = 0,
        notes: dict[str, Any] | None = None,
        devices: int = 1,
        micro_batch_size: int | None = None,
    ) -> None:
        """For the code that runs the function.

        Args:
            config: the configuration, with the one seed of this replicate.
            report: what `report` calls.
            folder: where the folder of this replicate is made.
            number: of the trial.
            notes: gets what is stored with the trial beside its result, by the names of `storage.attributes`.
            devices: that share a batch.
            micro_batch_size: the most examples that a device computes at once; None is no limit.
        """
        self._config, self._report, self._folder = config, report, folder
        self.number, self.notes, self.devices = number, {} if notes is None else notes, devices
        self.most_at_once, self._asked = micro_batch_size, False
        self._accumulate, self._micro_batch_size = equal_parts(config.batch_size, devices, micro_batch_size)

    def __repr__(self) -> str:
        config = self._config
        values = {"batch_size": config.batch_size, "peak_lr": config.peak_lr} | config.parameters | {"seed": self.seed}
        shown = {
            name: f"{value:g}" if isinstance(value, float) else f"{value!r}"
            for name, value in values.items()
            if value is not None
        }
        return f"Trial({', '.join(f'{name}={text}' for name, text in shown.items())})"

    @property
    def config(self) -> TrainConfig:
        """Everything that was decided: `peak_lr`, `optimizer`, `weight_decay`, `steps`, `warmup_steps`, `decay`, …"""
        return self._config

    @property
    def parameters(self) -> Mapping[str, bool | int | float | str]:
        """The values of the study's own [parameters] by name, without those whose condition is false."""
        return self._config.parameters

    @property
    def batch_size(self) -> int:
        """Examples that an update sees, over all devices and micro-batches; None where the study has no batch size.

        With `decay = "batch-growth"` or `"seesaw"` the batch size of the first updates; it grows by
        `config.decay_factor` at each of `config.milestones`, up to `config.max_batch_size`.
        """
        return self._config.batch_size

    @property
    def micro_batch_size(self) -> int:
        """Examples that a device computes at once: `batch_size / devices / accumulate`.

        None where the study has no batch size.

        Raises:
            ConfigError: the devices cannot share the batch equally.
        """
        return self._part(self._micro_batch_size)

    @property
    def accumulate(self) -> int:
        """Parts of a batch whose gradients a device sums up before each update; None and raised likewise."""
        return self._part(self._accumulate)

    @property
    def parts(self) -> tuple[int, int] | None:
        """For the code that runs the function: `micro_batch_size` and `accumulate`, if the training has asked for them.

        A training that has not takes no smaller parts where memory runs out.
        """
        if not self._asked or self._micro_batch_size is None or self._accumulate is None:
            return None
        return self._micro_batch_size, self._accumulate

    def ask_for_parts(self) -> None:
        """For the code that runs the function: the training goes by `micro_batch_size` and `accumulate`."""
        self._asked = True

    def _part(self, value: int | None) -> int:
        if not self._asked:
            self.ask_for_parts()
        if self.batch_size is None:
            return self.batch_size
        if value is None:
            raise ConfigError(f"batch_size: got {self.batch_size}; {self.devices} devices cannot share it equally")
        return value

    @property
    def seed(self) -> int:
        """The seed of this replicate, for all that is random in it (32 bits)."""
        return self._config.seeds[0]

    @property
    def run_dir(self) -> Path:
        """A folder for files of this replicate, such as checkpoints and logs; made when it is first asked for.

        A trial that is resumed or run again finds the same folder. Nothing in it is ever deleted by batchlaw, unless a
        program's study has `keep_runs = false`.
        """
        configuration = hashlib.sha256(self._config.model_dump_json().encode()).hexdigest()[:12]
        folder = self._folder / f"{configuration}-{self.seed}"
        check_link(folder)
        while not folder.is_dir():
            with suppress(FileNotFoundError):  # another worker has just deleted the study's folder, which was empty
                folder.mkdir(parents=True, exist_ok=True)
        return folder

    def optimizer(self, model: "nn.Module") -> "Optimizer":
        """PyTorch's optimizer of the configuration: family, peak learning rate, betas, momentum and weight decay.

        Raises:
            ConfigError: the study has no learning rate.
        """
        from batchlaw.train.optimizers import build

        if self._config.peak_lr is None:
            raise ConfigError("the study has no learning rate (space.base_lr), and an optimizer needs one")
        return build(self._config, model)

    def schedule(self, optimizer: "Optimizer") -> "LRScheduler":
        """The warmup and decay of the configuration; call its `step()` after every `optimizer.step()`.

        Raises:
            ConfigError: the study does not tell the number of steps.
        """
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, lr_multiplier(self._config))

    def batches(self, n_examples: int) -> "Batches":
        """The batches of the whole run for `torch.utils.data.DataLoader(data, batch_sampler=trial.batches(len(data)))`.

        The loader gives `accumulate` parts of each batch, one after the other, of `micro_batch_size` examples. They
        come from shuffled passes joined end to end; with several devices each process gets its share.

        Args:
            n_examples: of the training data.
        """
        from batchlaw.objectives.batches import Batches

        return Batches(self._config, n_examples, devices=self.devices, accumulate=self.accumulate)

    def guard(
        self, optimizer: "Optimizer", model: "nn.Module | None" = None, *, done: int = 0, loader: Any = None
    ) -> "Guard":
        """Compare the batch and the learning rate of every update with those of this trial; a difference fails it.

            trial.guard(optimizer, model)

        Args:
            optimizer: whose updates are watched.
            model: that is called once with each part of a batch; the first tensor it gets has the examples. None where
                the loop calls `saw(n_examples)` of the guard that is returned.
            done: updates that were made before, where the training goes on from a checkpoint.
            loader: of the training data; None where it is `trial.batches`, which repeats nothing within a pass.

        Raises:
            ObjectiveError: the loader repeats examples within a pass.
        """
        from batchlaw.objectives.guard import Guard
        from batchlaw.objectives.loaders import check_loader

        check_loader(loader, self.devices)
        guard = Guard(self._config, optimizer, devices=self.devices, done=done)
        if model is not None:
            guard.watch(model)
        return guard

    def report(self, progress: float, metrics: Mapping[str, float]) -> None:
        """Tell how training goes; call it often enough for the study's `reports`, at most once an update.

        Args:
            progress: the share of the budget used, above 0 and at most 1, such as `(step + 1) / config.steps`.
            metrics: numbers by name, the study's metric among them.

        Raises:
            Stop: the trial is to end here, for instance because it is pruned. `Stop` is no `Exception`, so that
                `except Exception` lets it pass; clean up in `finally`.
            Diverged: the study's metric is NaN or infinite.
            ObjectiveError: the study's metric is missing or no number, or the progress lies outside its bounds.
        """
        self._report(progress, metrics)


TrainFunction = Callable[[Trial], Mapping[str, float]]
