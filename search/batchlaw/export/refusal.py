"""An export raises where its format cannot express a configuration, so that nothing is approximated silently."""

from batchlaw.errors import BatchlawError
from batchlaw.spec import TrainConfig

_NEEDED = {"peak_lr": "learning rate", "batch_size": "batch size", "steps": "number of steps"}


def refused(form: str, field: str, value: object, why: str) -> BatchlawError:
    """The error that names the format, the field of the configuration, its value and the reason."""
    return BatchlawError(f"{field} is {value!r}, and {why}", argument="format", got=form)


def check_whole_recipe(config: TrainConfig, form: str) -> None:
    """Refuse a configuration without what a recipe of training needs.

    Raises:
        BatchlawError: it has no learning rate, batch size or number of steps.
    """
    for field, what in _NEEDED.items():
        if getattr(config, field) is None:
            raise BatchlawError(f"needs a {what}, and the study has none", argument="format", got=form)
