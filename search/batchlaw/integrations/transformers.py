"""The Trainer of Hugging Face Transformers (5.3 or newer) under a study.

from batchlaw.integrations.transformers import TrialCallback, training_arguments

def train(trial):
    arguments = training_arguments(trial, eval_strategy="steps", eval_steps=100)
    trainer = Trainer(model, arguments, train_dataset=..., eval_dataset=..., callbacks=[TrialCallback(trial)])
    trainer.train()
    return trainer.evaluate()              # the metric of the study may be "eval_loss" or "loss"
"""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from batchlaw.errors import ObjectiveError
from batchlaw.export.training_arguments import arguments_of
from batchlaw.objectives.trial import Trial
from batchlaw.recipe.schedule import lr_multiplier

_PREFIX = "eval_"  # of the metrics of an evaluation


def training_arguments(trial: Trial, **own: Any) -> TrainingArguments:
    """The arguments of a Trainer with the batch, the rate, the schedule, the optimizer and the seed of a trial.

    Args:
        trial: the training function's argument. Its folder is the default of `output_dir`.
        own: further arguments of `transformers.TrainingArguments`.

    Raises:
        ObjectiveError: one of them is decided by the trial.
        BatchlawError: a Trainer cannot express the configuration.
    """
    decided = arguments_of(trial.config, trial.micro_batch_size, trial.accumulate)
    twice = sorted(decided.keys() & own.keys())
    if twice:
        raise ObjectiveError(f"training_arguments: {', '.join(twice)} must be left out; the trial decides them")
    return TrainingArguments(**({"output_dir": str(trial.run_dir), "report_to": "none"} | own | decided))


class TrialCallback(TrainerCallback):
    """Reports every evaluation to the study, and compares every update with the trial; see `Trial.guard`.

    The schedule of a Trainer starts one step late, with a rate of 0. This callback puts the trial's in its place. A
    trial that is pruned ends by an exception out of `Trainer.train`.
    """

    def __init__(self, trial: Trial) -> None:
        """Report to a trial."""
        self._trial = trial

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Take the trial's schedule, and watch the updates."""
        if args.world_size != self._trial.devices:
            raise ObjectiveError(f"the Trainer has {args.world_size} devices; the trial {self._trial.devices}")
        follow(given["lr_scheduler"], given["optimizer"], self._trial)
        self._trial.guard(
            given["optimizer"], given["model"], done=state.global_step, loader=given.get("train_dataloader")
        )

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Report the metrics of an evaluation, with and without their prefix."""
        if state.is_world_process_zero and state.global_step:
            metrics = given["metrics"]
            plain = {name.removeprefix(_PREFIX): value for name, value in metrics.items()}
            self._trial.report(min(state.global_step / state.max_steps, 1.0), {**plain, **metrics})


def follow(scheduler: Any, optimizer: Optimizer, trial: Trial) -> None:
    """Make a scheduler that was made for a trial's peak rate follow the trial's schedule, from where it stands.

    Raises:
        ObjectiveError: it is no LambdaLR, as those of a Trainer are.
    """
    if not isinstance(scheduler, LambdaLR):
        raise ObjectiveError(f"the Trainer's scheduler must be a LambdaLR; got {type(scheduler).__name__}")
    multiplier = lr_multiplier(trial.config)
    scheduler.lr_lambdas = [multiplier] * len(scheduler.lr_lambdas)
    for group, peak in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
        group["lr"] = peak * multiplier(scheduler.last_epoch)
