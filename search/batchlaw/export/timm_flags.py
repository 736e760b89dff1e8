"""The timm form of an export: flags of its train.py, which counts in epochs."""

from math import ceil

from batchlaw.export.accumulation import micro_batches
from batchlaw.export.provenance import Provenance
from batchlaw.export.refusal import check_whole_recipe, refused
from batchlaw.recipe.schedule import floor_examples
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import GROWING

_USAGE = """\
# {updates} updates an epoch of {examples} examples; model, data and augmentation are yours
# python train.py --data-dir DIR --model NAME $(grep -v '^#' THIS_FILE)
"""


def timm_flags(config: TrainConfig, provenance: Provenance) -> str:
    """Flags for train.py on one device and the same number of training examples, below comments.

    Budget, warmup and milestones are rounded to whole epochs; the comments name each that changed. timm's warmup goes
    from peak_lr / W at the first of W updates to peak_lr after the last, so that it lags by less than peak_lr / W. Its
    milestones act one update early.

    Raises:
        BatchlawError: timm cannot express the configuration.
    """
    check_whole_recipe(config, "timm")
    if config.decay in GROWING:
        raise refused("timm", "decay", config.decay, "timm keeps its batch size")
    if config.decay == "wsd":
        raise refused("timm", "decay", config.decay, "timm has no schedule that stays and then cools down")
    count = micro_batches(config, "timm")
    size = config.batch_size // count
    if config.train_size is None:
        raise refused("timm", "train_size", None, "timm counts in epochs")
    an_epoch = ceil((config.train_size // size) / count)  # the loader drops the incomplete last batch of a pass
    updates = _updates(config)
    epochs = {what: _epochs(what, steps, an_epoch) for what, steps in updates.items()}
    notes = [
        f"# {what}: {updates[what]} updates of the study are {n * an_epoch} here, {n} whole epoch{'s' * (n != 1)}\n"
        for what, n in epochs.items()
        if n * an_epoch != updates[what]
    ]
    flags = [
        f"--batch-size {size} --grad-accum-steps {count}",
        _optimizer(config),
        f"--lr {config.peak_lr!r} --min-lr 0 --sched-on-updates",
        _schedule(config, epochs, an_epoch),
        f"--seed {config.seeds[0]}",
    ]
    notes += [
        f"# parameter {name} = {value!r}: give it by the flag that your train.py has for it\n"
        for name, value in config.parameters.items()
    ]
    usage = _USAGE.format(updates=an_epoch, examples=config.train_size)
    return provenance.comment() + "".join(notes) + usage + "\n".join(flags)


def _updates(config: TrainConfig) -> dict[str, int]:
    """Optimizer updates of the budget and of the warmup, and before each milestone of a `step` decay."""
    updates = {"budget": config.steps, "warmup": config.warmup_steps}
    if config.decay == "step":
        for number, fraction in enumerate(config.milestones, 1):
            seen = floor_examples(config.budget_examples, fraction)
            updates[f"milestone {number}"] = seen // config.batch_size
    return updates


def _epochs(what: str, updates: int, an_epoch: int) -> int:
    """The nearest number of whole epochs; updates that round to no epoch raise."""
    epochs = round(updates / an_epoch)
    if updates and not epochs:
        raise refused(
            "timm", what, updates, f"it is less than half an epoch of {an_epoch} updates; timm counts whole epochs"
        )
    return epochs


def _optimizer(config: TrainConfig) -> str:
    family = FAMILIES[config.optimizer]
    if family.timm is None:
        raise refused("timm", "optimizer", config.optimizer, "timm has no optimizer that makes the same steps")
    if not config.bias_correction:
        raise refused("timm", "bias_correction", config.bias_correction, "timm's Adam corrects the bias")
    arguments = {keyword: value for keyword, value in family.arguments(dict(config)).items() if value is not True}
    arguments.pop("momentum", None)  # timm has a flag for it, whatever the optimizer
    flags = f"--opt {family.timm} --momentum {config.momentum!r} --weight-decay {config.weight_decay!r}"
    if "eps" in arguments:
        flags += f" --opt-eps {arguments.pop('eps')!r}"
    if "betas" in arguments:
        flags += f" --opt-betas {' '.join(map(repr, arguments.pop('betas')))}"
    options = [f"{keyword}={value!r}" for keyword, value in arguments.items()]
    if not config.exempt_norms_and_biases:
        options.append("filter_bias_and_bn=False")
    return flags + (f" --opt-kwargs {' '.join(options)}" if options else "")


def _schedule(config: TrainConfig, epochs: dict[str, int], an_epoch: int) -> str:
    budget, warmup, *milestones = epochs.values()
    first = config.peak_lr / (warmup * an_epoch) if warmup else 0.0
    flags = f"--warmup-epochs {warmup} --warmup-lr {first!r} --cooldown-epochs 0 --sched"
    if config.decay == "constant":
        return f"{flags} step --decay-rate 1.0 --epochs {budget}"
    if config.decay == "step":
        told, rate = " ".join(map(str, milestones)), 1 / config.decay_factor
        return f"{flags} multistep --decay-milestones {told} --decay-rate {rate!r} --epochs {budget}"
    if budget == warmup:
        raise refused("timm", "warmup", config.warmup_steps, f"it leaves no epoch of {an_epoch} updates to decay in")
    # With --warmup-prefix the decay starts at the end of the warmup, and timm adds the warmup to --epochs.
    shape = {"cosine": "cosine", "linear": "poly --decay-rate 1.0"}[config.decay]
    return f"{flags} {shape} --warmup-prefix --epochs {budget - warmup}"
