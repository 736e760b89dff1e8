"""The two arms of a study: the adaptive arm searches good configurations, the designed arm decides claims."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from batchlaw.spec.base import Extended, Frozen, refuse
from batchlaw.spec.needs import FEWEST_REPORTS, MEASURES, TO_TARGET, HypothesisName, Measure
from batchlaw.spec.start import Start

Direction = Literal["maximize", "minimize"]
_FEWEST_SEEDS = 5  # replicates of a factorial design; the variance over seeds decides its claims
_ADAPTIVE: tuple[HypothesisName, ...] = ("H9",)  # an adaptive design finds only the best batch size at each rate
_STAGGERED: tuple[HypothesisName, ...] = ("H9",)  # a staggered grid as well
_OF_RATES: tuple[HypothesisName, ...] = ("H3", "H4", "H5", "H6", "H7", "H12", "H13", "H14", "H16", "H19", "H24")
FEWEST_ROUNDS = 8  # of an adaptive design: two for a first look and six around the best (assumption)


class Arm(Extended):
    """The keys of both arms."""

    replicates: Annotated[int, Field(ge=1, le=1000)] = 1  # seeds of a trial; its score is their mean
    metric: str = "validation_accuracy"
    direction: Direction | None = None  # None: that of a built-in metric
    reports: Annotated[int, Field(ge=1, le=20)] = 10  # more slow down the dashboard
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    budget_seconds: Annotated[float, Field(gt=0)] | None = None  # of work on the study; then no trial starts
    max_retries: Annotated[int, Field(ge=0, le=100)] = 2  # of a trial that failed or lost its worker
    noise_scale: bool = False  # measure it at each report (McCandlish et al. 2018)


def bytes_of(given: Any) -> Any:
    """A number of bytes, also of a text such as "2GB" or "1.5 GiB"; what is neither stays for the validator."""
    if not isinstance(given, str):
        return given
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B\s*", given)
    if found is None:
        raise refuse('must be a number of bytes, or a text such as "2GB" or "2GiB"', given)
    number, prefix, binary = found.groups()
    return round(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix or " "))


Bytes = Annotated[int, Field(ge=1), BeforeValidator(bytes_of, json_schema_input_type=int | str)]


class Stop(Frozen):
    """A search ends once going on is not expected to gain so much."""

    gain: Annotated[float, Field(gt=0)]  # of the metric
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95  # that it gains less


class Search(Arm):
    """The adaptive arm: a sampler and a pruner choose what is trained."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"confirm", "start", "published_start", "stop", "against", "max_seconds", "max_memory"}
    )

    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # this or budget_seconds, or both
    sampler: Literal["tpe", "per-second", "gp", "random", "qmc"] = "tpe"
    pruner: Literal["hyperband", "asha", "median", "none"] = "hyperband"
    trial_seconds: Annotated[float, Field(gt=0)] | None = None  # a trial that takes longer is pruned
    confirm: bool = True  # train contenders for the best on fresh seeds in the last fifth of the budget
    start: tuple[Start, ...] = ()  # configurations that are tried first
    published_start: bool = True  # without any: the published default of each optimizer
    stop: Stop | None = None  # when the search ends before its budget
    max_seconds: Annotated[float, Field(gt=0)] | None = None  # of a run that is to be named
    max_memory: Bytes | None = None  # its peak on an accelerator
    against: Literal["seconds"] | None = None  # what a better score may cost; the second of two in `metric`

    @model_validator(mode="after")
    def _has_room(self) -> "Search":
        if self.trials is None and self.budget_seconds is None:
            raise refuse("is required, or budget_seconds, or both", None, "trials")
        if self.against is not None:
            for field, fitting in (("sampler", ("tpe", "random", "qmc")), ("pruner", ("hyperband", "asha", "none"))):
                if getattr(self, field) not in fitting:
                    raise refuse(f"must be {', '.join(fitting)} against seconds", getattr(self, field), field)
        if self.trials is not None and len(self.start) > self.trials:
            raise refuse(
                f"must be at most {self.trials} configurations, the number of trials", len(self.start), "start"
            )
        return self


class Claim(Arm):
    """The designed arm, whose trials are never pruned.

    A factorial design runs every combination of the levels in [space] on the same seeds. On a staggered grid the batch
    sizes of successive learning rates are shifted by 0, 1/3 and 2/3 of their spacing. An adaptive design runs what
    tells most about the best levels for the seconds that it takes.
    """

    later: ClassVar[frozenset[str]] = frozenset({"grid", "targets"})

    hypotheses: Annotated[tuple[HypothesisName, ...], Field(min_length=1)]
    design: Literal["factorial", "adaptive"] = "factorial"
    grid: Literal["crossed", "staggered"] = "crossed"  # of a factorial design
    runs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # number of trials of an adaptive design
    replicates: Annotated[int, Field(ge=1, le=1000)] = 5
    metric: str = "validation_loss"
    reports: Annotated[int, Field(ge=1, le=20)] = 4
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    margin: Annotated[float, Field(gt=0, le=0.5)] = 0.25  # by which a slope may miss its predicted value
    targets: tuple[Annotated[float, Field(gt=0)], ...] = ()  # training losses of H20, H23; if empty, chosen from curves

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What its hypotheses need of a run beside its scores."""
        return tuple(dict.fromkeys(measure for name in self.hypotheses for measure in MEASURES.get(name, ())))

    @property
    def times_steps(self) -> bool:
        """Whether a hypothesis is about the time of a step, so that runs must not train together."""
        return bool({"H1", "H2"} & set(self.hypotheses))

    @model_validator(mode="after")
    def _distinct(self) -> "Claim":
        if len(set(self.hypotheses)) < len(self.hypotheses):
            raise refuse("must not repeat a hypothesis", list(self.hypotheses), "hypotheses")
        return self

    @model_validator(mode="after")
    def _fits_reports(self) -> "Claim":
        if self.targets and not set(TO_TARGET) & set(self.hypotheses):
            raise refuse(f"belongs to {' and '.join(TO_TARGET)}", list(self.targets), "targets")
        for name in self.hypotheses:
            if self.reports < FEWEST_REPORTS.get(name, 1):
                raise refuse(f"{name} needs {FEWEST_REPORTS[name]} or more", self.reports, "reports")
        return self

    @model_validator(mode="after")
    def _fits_design(self) -> "Claim":
        if self.design == "factorial":
            if self.replicates < _FEWEST_SEEDS:
                raise refuse(f"must be greater than or equal to {_FEWEST_SEEDS}", self.replicates, "replicates")
            if self.runs is not None:
                raise refuse('belongs to design = "adaptive"; a factorial runs every cell', self.runs, "runs")
            for name in self.hypotheses if self.grid == "staggered" else ():
                if name not in _STAGGERED:
                    why = "compares learning rates at one batch size" if name in _OF_RATES else "needs a crossed grid"
                    only = f'grid = "staggered" suits {", ".join(_STAGGERED)} alone'
                    raise refuse(f"{name} {why}; {only}", name, "hypotheses")
            return self
        if self.grid != "crossed":
            raise refuse('belongs to design = "factorial"', self.grid, "grid")
        for name in self.hypotheses:
            if name not in _ADAPTIVE:
                raise refuse(f"an adaptive design can judge {', '.join(_ADAPTIVE)} only", name, "hypotheses")
        if self.runs is None:
            raise refuse('is required with design = "adaptive"', None, "runs")
        return self
