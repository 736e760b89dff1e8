"""What tables and sentences tell of a configuration: the hyperparameters that its study gives or searches."""

from batchlaw.spec import StudySpec, TrainConfig

# Each with its heading in a table, and how a sentence tells it.
_TOLD = {
    "batch_size": ("batch", "batch size {}"),
    "peak_lr": ("peak lr", "peak lr {}"),
    "optimizer": ("optimizer", "{}"),
    "scaling_rule": ("rule", "{} rule"),
    "warmup_fraction": ("warmup", "warmup {}"),
    "decay": ("decay", "{} decay"),
}
USUAL = tuple(_TOLD)


def columns_of(spec: StudySpec) -> tuple[str, ...]:
    """The names of the hyperparameters to tell, those of the user's own last.

    Batch size and learning rate are told where the study has them. What goes with a learning rate is told where it has
    one; beside searched parameters, and of a program, which may not use it, only if it is searched, too. Of code of the
    user's own all that is searched is told.
    """
    own = tuple(name for name in spec.searched if name in spec.parameters)
    if spec.task is None:
        own = (*(name for name in spec.searched if name not in (*_TOLD, "base_lr", *own)), *own)
    has = {"batch_size": spec.space.batch_size is not None, "peak_lr": spec.space.base_lr is not None}
    usual = has["peak_lr"] and not own and spec.command is None
    return (*(name for name in _TOLD if has.get(name, usual or name in spec.searched)), *own)


def heading_of(name: str) -> str:
    """The heading of a column."""
    return _TOLD[name][0] if name in _TOLD else name.replace("_", " ")


def text_of(config: TrainConfig, name: str) -> str:
    """The value for people; empty where the trial has none."""
    value = config.value_of(name)
    if value is None:
        return ""
    if name == "warmup_fraction":
        return f"{value:.0%}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def sentence_of(config: TrainConfig, names: tuple[str, ...]) -> str:
    """Such as `batch size 32, peak lr 0.1, adam`."""
    told = {name: text_of(config, name) for name in names}
    return ", ".join(
        (_TOLD[name][1] if name in _TOLD else f"{name} {{}}").format(text) for name, text in told.items() if text
    )
