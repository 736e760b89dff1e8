"""The two arms of a study: the adaptive one finds good configurations, the designed one decides claims."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from batchlaw.spec.base import Frozen, refuse

Direction = Literal["maximize", "minimize"]
HypothesisName = Literal[
    "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9", "H9m", "H10", "H11", "H12", "H13", "H14", "H15", "H16", "H17",
    "H18", "H19",
]  # fmt: skip
# What a run measures beside its scores: the losses of each replicate at every report, how sharp the loss is there,
# how many steps it stays on its first plateau, and how noisy the gradient is at every report.
Measure = Literal["curves", "sharpness", "plateau", "noise-scale"]


@dataclass(frozen=True)
class Need:
    """What a hypothesis asks of a factor: so many levels, over so many octaves, or with these values among them."""

    factor: str
    levels: int = 1
    octaves: float = 0.0  # of momentum, those of 1/(1-m)
    values: tuple[str | float, ...] = ()


# Of a ridge (assumption: an optimum that moves over four octaves, with two on either side to see the score fall).
_BATCH_SIZES = Need("batch_size", 7, 7.0)
_RIDGE = (_BATCH_SIZES, Need("base_lr", 6, 5.0))
NEEDS: dict[str, tuple[Need, ...]] = {
    **dict.fromkeys(("H6", "H7", "H8", "H9", "H17", "H19"), _RIDGE),
    **dict.fromkeys(("H1", "H2"), (_BATCH_SIZES, Need("base_lr", 3))),  # the rates repeat the timing
    "H3": (Need("batch_size", 2, 4.0), Need("base_lr", 4, 3.0)),
    "H4": (Need("batch_size", 2, 4.0), Need("base_lr", 4, 3.0)),
    "H5": (Need("batch_size", 4, 4.0), Need("base_lr", 4, 3.0)),
    "H9m": (_BATCH_SIZES, Need("momentum", 5, 3.0)),
    "H10": (_BATCH_SIZES, Need("train_size", 4, 3.0)),
    "H11": (Need("decay", 2, values=("step", "batch-growth")),),
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
}
_FEWEST_SEEDS = 5  # of a cell, whose variance decides
_ADAPTIVE: tuple[HypothesisName, ...] = ("H9",)  # the best batch size at each learning rate is all that it looks for
FEWEST_ROUNDS = 8  # of an adaptive design: three for a first look, five for a parabola (assumption)
NEAR_SADDLE = 0.1  # of init_scale, for H18: the loss then starts on a plateau (assumption)
MEASURES: dict[str, tuple[Measure, ...]] = {
    "H4": ("curves",),
    "H5": ("curves", "sharpness"),
    "H11": ("curves",),
    "H12": ("curves",),
    "H18": ("plateau",),
}


class Arm(Frozen):
    """What both arms have in common."""

    replicates: Annotated[int, Field(ge=1, le=1000)] = 1  # seeds a trial; its value is their mean
    metric: str = "validation_accuracy"
    direction: Direction | None = None  # known for the built-in metrics
    reports: Annotated[int, Field(ge=1, le=20)] = 10  # the dashboard slows down with more
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    study_seconds: Annotated[float, Field(gt=0)] | None = None  # no trial starts past it
    max_retries: Annotated[int, Field(ge=0, le=100)] = 2  # of a trial that failed or whose worker died
    noise_scale: bool = False  # measure the gradient's at each report (McCandlish et al. 2018)


class Search(Arm):
    """The adaptive arm."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    sampler: Literal["tpe", "per-second", "gp", "random", "qmc"] = "tpe"
    pruner: Literal["hyperband", "asha", "median", "none"] = "hyperband"
    trial_seconds: Annotated[float, Field(gt=0)] | None = None  # a trial past it is pruned


class Claim(Arm):
    """The designed arm, never pruned: every combination of the levels in [space] on the same seeds, or an adaptive
    design, which runs batch sizes where the best of a learning rate is still uncertain."""

    hypotheses: Annotated[tuple[HypothesisName, ...], Field(min_length=1)]
    design: Literal["factorial", "adaptive"] = "factorial"
    runs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # trials of an adaptive design
    replicates: Annotated[int, Field(ge=1, le=1000)] = 5
    metric: str = "validation_loss"
    reports: Annotated[int, Field(ge=1, le=20)] = 4
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    margin: Annotated[float, Field(gt=0, le=0.5)] = 0.25  # of a slope

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What its hypotheses ask of a run beside its scores."""
        return tuple(dict.fromkeys(measure for name in self.hypotheses for measure in MEASURES.get(name, ())))

    @property
    def times_steps(self) -> bool:
        """Whether a hypothesis is about the time of a run's step, so that runs do not share theirs."""
        return bool({"H1", "H2"} & set(self.hypotheses))

    @model_validator(mode="after")
    def _distinct(self) -> "Claim":
        if len(set(self.hypotheses)) < len(self.hypotheses):
            raise refuse("must not repeat a hypothesis", list(self.hypotheses), "hypotheses")
        return self

    @model_validator(mode="after")
    def _of_its_design(self) -> "Claim":
        if self.design == "factorial":
            if self.replicates < _FEWEST_SEEDS:
                raise refuse(f"must be greater than or equal to {_FEWEST_SEEDS}", self.replicates, "replicates")
            if self.runs is not None:
                raise refuse('belongs to design = "adaptive"; a factorial runs every cell', self.runs, "runs")
            return self
        for name in self.hypotheses:
            if name not in _ADAPTIVE:
                raise refuse(f"an adaptive design can judge {', '.join(_ADAPTIVE)} alone", name, "hypotheses")
        if self.runs is None:
            raise refuse('is required with design = "adaptive"', None, "runs")
        return self
