"""What each hypothesis needs of a designed study: levels of its factors, and measurements beside the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal

from batchlaw.spec.base import refuse
from batchlaw.spec.budget import Budget
from batchlaw.spec.dimensions import extremes, levels_of
from batchlaw.spec.families import DECOUPLED, OWN, family_of
from batchlaw.spec.space import Space

HypothesisName = Literal[
    "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9", "H9m", "H10", "H11", "H12", "H13", "H14", "H15", "H16", "H17",
    "H18", "H19", "H20", "H21", "H22", "H23", "H24", "H25", "H27",
]  # fmt: skip
# What a run can measure beside its scores: at every report the losses of each replicate, the sharpness of the loss,
# that of batches along their gradients, or the noise of the gradient; and the number of steps on the first plateau of
# the loss.
Measure = Literal["curves", "sharpness", "batch-sharpness", "plateau", "noise-scale"]


@dataclass(frozen=True)
class Need:
    """The levels of one factor that a hypothesis needs."""

    factor: str
    levels: int = 1  # at least so many
    octaves: float = 0.0  # from the lowest to the highest, at least; for momentum, of 1/(1-m)
    values: tuple[str | float, ...] = ()  # these must be among the levels


# To find a ridge. Assumption: the optimum moves over four octaves; two more on either side show that the score falls.
_BATCH_SIZES = Need("batch_size", 7, 7.0)
_RIDGE = (_BATCH_SIZES, Need("base_lr", 6, 5.0))
NEEDS: dict[str, tuple[Need, ...]] = {
    **dict.fromkeys(("H6", "H7", "H8", "H9", "H17", "H19"), _RIDGE),
    **dict.fromkeys(("H1", "H2"), (_BATCH_SIZES, Need("base_lr", 3))),  # three rates time every batch size three times
    "H3": (Need("batch_size", 2, 4.0), Need("base_lr", 4, 3.0)),
    "H4": (Need("batch_size", 2, 4.0), Need("base_lr", 4, 3.0)),
    "H5": (Need("batch_size", 4, 4.0), Need("base_lr", 4, 3.0)),
    "H9m": (_BATCH_SIZES, Need("momentum", 5, 3.0)),
    "H10": (_BATCH_SIZES, Need("train_size", 4, 3.0)),
    "H11": (Need("decay", 2, values=("step", "batch-growth")),),
    "H21": (Need("decay", 2, values=("step", "seesaw")),),
    "H12": (Need("base_lr", 6, 5.0),),
    "H13": (Need("base_lr", 3), Need("batch_size", 3), Need("momentum", 2)),
    "H14": (
        Need("base_lr", 4, 3.0),
        Need("warmup_fraction", 2, values=(0.0,)),
        Need("optimizer", 2, values=("momentum", "adam")),
    ),
    "H15": (Need("decay", 2, values=("constant", "cosine")),),
    "H16": (
        Need("base_lr", 4, 3.0),
        Need("weight_decay", 2),
        Need("optimizer", 4, values=("adagrad", "rmsprop", "adam", "adamw")),
    ),
    "H18": (Need("batch_size", 5, 4.0),),
    "H20": (Need("batch_size", 6, 5.0), Need("base_lr", 4, 3.0)),
    "H22": (Need("batch_size", 5, 4.0), Need("weight_decay", 6, 5.0)),
    "H23": (Need("batch_size", 6, 5.0), Need("base_lr", 4, 3.0), Need("optimizer", 2, values=("muon", "adamw"))),
    "H24": (Need("base_lr", 8, 4.0), Need("warmup_fraction", 2, values=(0.0,))),
    "H25": (Need("batch_size", 5, 4.0), Need("base_lr", 8, 6.0)),
    "H27": (
        Need("batch_size", 3, 3.0),
        Need("optimizer", values=("sgd",)),
        Need("decay", values=("constant",)),
    ),
}
NEAR_SADDLE = 0.1  # largest init_scale for H18: training then starts on a plateau of the loss (assumption)
MEASURES: dict[str, tuple[Measure, ...]] = {
    "H4": ("curves",),
    "H5": ("curves", "sharpness"),
    "H11": ("curves",),
    "H12": ("curves",),
    "H18": ("plateau",),
    "H20": ("curves",),
    "H21": ("curves",),
    "H23": ("curves",),
    "H27": ("curves", "batch-sharpness"),
}
TO_TARGET: tuple[HypothesisName, ...] = ("H20", "H23")  # which count the steps to a training loss
# At least. H20 and H23 interpolate the steps to a target between reports; H27 has two in each quarter (assumptions).
FEWEST_REPORTS: dict[HypothesisName, int] = {**dict.fromkeys(TO_TARGET, 10), "H27": 8}


def check_needs(space: Space, hypotheses: Sequence[HypothesisName]) -> None:
    """Check that a space has the levels that the hypotheses need.

    Raises:
        PydanticCustomError: it has not.
    """
    for hypothesis in hypotheses:
        for need in NEEDS[hypothesis]:
            _check_need(space, hypothesis, need)


def check_timescale(space: Space, budget: Budget | None) -> None:
    """Check that H22 is about a timescale B/(ελD): of a decay that is decoupled, at one horizon D.

    Raises:
        PydanticCustomError: it is not.
    """
    if budget is not None and budget.counts_steps:
        got = budget.model_dump(exclude_none=True)
        raise refuse("H22 needs one horizon for all batch sizes, in epochs, examples or tokens", got, "budget")
    for name in extremes(space.optimizer):
        if family_of(name) not in (*DECOUPLED, OWN):
            raise refuse(f"H22 is about {', '.join(DECOUPLED)}", name, "space.optimizer")


def _check_need(space: Space, hypothesis: HypothesisName, need: Need) -> None:
    field, dimension = f"space.{need.factor}", getattr(space, need.factor)
    levels = levels_of(dimension) if dimension is not None else ()
    missing = [value for value in need.values if value not in levels]
    if missing:
        raise refuse(f"{hypothesis} needs {', '.join(map(str, missing))} as well", list(levels), field)
    scale = [1 / (1 - level) for level in levels] if need.factor == "momentum" else levels
    if need.octaves and 0 in scale:
        raise refuse(f"{hypothesis} needs levels above 0, which it compares on a log scale", list(levels), field)
    span = log2(max(scale) / min(scale)) if need.octaves and levels else 0.0
    if len(levels) < need.levels or span < need.octaves - 0.01:
        octaves = f" over {need.octaves:g} octaves" if need.octaves else ""
        got = f"{len(levels)} over {span:.1f}" if need.octaves else len(levels)
        raise refuse(f"{hypothesis} needs {need.levels} levels or more{octaves}", got, field)
