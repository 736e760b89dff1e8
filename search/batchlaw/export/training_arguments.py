"""The Hugging Face form of an export: the arguments of `transformers.TrainingArguments`, of version 5.3 or newer."""

import json
from typing import Any

from batchlaw.export.accumulation import micro_batches
from batchlaw.export.provenance import Provenance
from batchlaw.export.refusal import check_whole_recipe, refused
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import AT_MILESTONES

_FORM = "transformers"
_ADAMW = "adamw_torch"  # the only optimizer with fields in TrainingArguments
_NAME_LENGTH = 128  # characters of a run's name that trackers show (assumption)


def training_arguments(config: TrainConfig, provenance: Provenance) -> str:
    """JSON for `HfArgumentParser.parse_json_file` and `TrainingArguments(**…)`, on one device.

    The Trainer's warmup is one step late: at step t it takes t/warmup_steps of the peak learning rate, ours takes
    (t+1)/warmup_steps; after the warmup both are equal. Among norms it exempts layer norms alone from weight decay.
    Versions before 5.3 ignore `optim_args`. TrainingArguments take no further keys, so the provenance is shortened to
    study, trial, fingerprint and score in `run_name`.

    Raises:
        BatchlawError: TrainingArguments cannot express the configuration.
    """
    if config.parameters:
        named = ", ".join(config.parameters)
        raise refused(_FORM, "parameters", config.parameters, f"TrainingArguments has no place for {named}")
    check_whole_recipe(config, _FORM)
    count = micro_batches(config, _FORM)
    name = f"{provenance.study} trial {provenance.trial} ({provenance.fingerprint}): {provenance.score()}"
    arguments = {"run_name": name[:_NAME_LENGTH]} | arguments_of(config, config.batch_size // count, count)
    return json.dumps(arguments, indent=2, allow_nan=False)


def arguments_of(config: TrainConfig, micro_batch_size: int, accumulate: int) -> dict[str, Any]:
    """The arguments of `TrainingArguments` by name, without those that name the run.

    Args:
        config: to express.
        micro_batch_size: examples that a device computes at once.
        accumulate: parts of a batch whose gradients a device sums up.

    Raises:
        BatchlawError: TrainingArguments cannot express the configuration.
    """
    check_whole_recipe(config, _FORM)
    return {
        "learning_rate": config.peak_lr,
        "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": accumulate,
        "dataloader_drop_last": True,  # every step sees the whole batch
        "max_steps": config.steps,
        "warmup_steps": config.warmup_steps,
        **_scheduler(config),
        "weight_decay": _weight_decay(config),
        "max_grad_norm": 0.0,  # the Trainer clips at 1 otherwise
        "seed": config.seeds[0],
        **_optimizer(config),
    }


def _scheduler(config: TrainConfig) -> dict[str, Any]:
    if config.decay in AT_MILESTONES:
        raise refused(_FORM, "decay", config.decay, "the Trainer has constant, cosine, linear and wsd")
    if config.decay == "wsd":
        options = {"num_decay_steps": config.cooldown_steps, "decay_type": config.cooldown}
        return {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": options}
    if config.decay == "constant" and config.warmup_steps:
        return {"lr_scheduler_type": "constant_with_warmup"}
    return {"lr_scheduler_type": config.decay}


def _weight_decay(config: TrainConfig) -> float:
    family = FAMILIES[config.optimizer]
    if config.weight_decay and not config.exempt_norms_and_biases:
        why = "the Trainer exempts norms and biases where the study did not"
        raise refused(_FORM, "weight_decay", config.weight_decay, why)
    if config.weight_decay and family.transformers == _ADAMW and not family.decoupled_decay:
        why = f"{config.optimizer}'s is an L2 term, and the Trainer has adamw only"
        raise refused(_FORM, "weight_decay", config.weight_decay, why)
    return config.weight_decay


def _optimizer(config: TrainConfig) -> dict[str, Any]:
    family = FAMILIES[config.optimizer]
    if family.transformers is None:
        raise refused(_FORM, "optimizer", config.optimizer, "the Trainer has no optimizer that makes the same steps")
    if not config.bias_correction:
        raise refused(_FORM, "bias_correction", config.bias_correction, "the Trainer's Adam corrects the bias")
    if family.transformers == _ADAMW:  # also for adam, which is adamw without weight decay
        betas = {"adam_beta1": config.beta1, "adam_beta2": config.beta2}
        return {"optim": family.transformers, **betas, "adam_epsilon": config.eps}
    options = {keyword: json.dumps(value) for keyword, value in family.arguments(dict(config)).items()}
    told = ",".join(f"{keyword}={value}" for keyword, value in options.items())
    return {"optim": family.transformers} | ({"optim_args": told} if told else {})
