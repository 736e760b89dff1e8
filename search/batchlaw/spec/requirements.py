"""What a study must give, and for what: nothing is required but what is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batchlaw.spec.base import refuse
from batchlaw.spec.dimensions import extremes
from batchlaw.spec.knobs import GROWING

if TYPE_CHECKING:
    from batchlaw.spec.study import StudySpec

# What each part of a configuration comes from, for messages.
SOURCES = {
    "batch_size": ("batch size", "space.batch_size"),
    "base_lr": ("learning rate", "space.base_lr"),
    "train_size": ("number of training examples", "train_size"),
    "budget": ("budget", "[budget]"),
}


def check_requirements(spec: "StudySpec") -> None:
    """Check that a study gives what its parts need.

    Raises:
        PydanticCustomError: it does not; names what needs it.
    """
    gives = {
        "budget": spec.budget is not None,
        "space.batch_size": spec.space.batch_size is not None,
        "space.base_lr": spec.space.base_lr is not None,
        "train_size": spec.task is not None or spec.train_size is not None or spec.space.train_size is not None,
        "tokens_per_example": spec.example_tokens is not None,
    }
    for field, reason in _needs(spec):
        if not gives[field]:
            raise refuse(f"is required {reason}", None, field)


def _needs(spec: "StudySpec") -> Iterator[tuple[str, str]]:
    """Each field that is needed, and by what."""
    space, budget = spec.space, spec.budget
    arm = "with [task]" if spec.task is not None else "with [claim]"
    if spec.task is not None:
        yield "budget", f"{arm}: how long a trial trains"
    if spec.task is not None or spec.claim is not None:
        yield "space.batch_size", arm
        yield "space.base_lr", arm
    if budget is not None and budget.epochs is not None:
        yield "train_size", "by budget.epochs: the number of examples in an epoch"
    if budget is not None and budget.tokens is not None:
        yield "tokens_per_example", "by budget.tokens"
    if budget is not None and budget.lr_time is not None:
        yield "space.base_lr", "by budget.lr_time"
    if set(extremes(space.scaling_rule)) != {"constant"}:
        yield "space.base_lr", "by space.scaling_rule: the learning rate that it scales"
        yield "space.batch_size", "by space.scaling_rule: the batch size that it scales with"
    if space.beta2_half_life_examples is not None:
        yield "space.batch_size", "by space.beta2_half_life_examples"
    if space.weight_decay_tau is not None:
        for field in ("budget", "space.batch_size", "space.base_lr"):
            yield field, "by space.weight_decay_tau: B/(ελD) has all three"
    for decay in GROWING:
        if decay in extremes(space.decay):
            yield "space.batch_size", f'by space.decay = "{decay}"'
