"""A configuration to take away: the one of a finished trial, or one predicted for another batch size."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from batchlaw.spec import TrainConfig
from batchlaw.spec.knobs import KNOBS
from batchlaw.stats.comparison import mean_and_error

PER = tuple(knob.name for knob in KNOBS if not knob.of_data)
_DERIVED = {
    "reference_batch_size", "warmup_steps", "cooldown_steps", "cooldown", "steps", "examples", "beta1", "beta2", "eps",
    "lr_per_example", "noise_scale",
}  # fmt: skip
ErrorSource = Literal["seeds", "fresh seeds", "validation sample", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Where a configuration for a batch size that was not trained comes from."""

    batch_size: int
    peak_lr: float
    ci_low: float | None  # the interval of the best peak learning rate by the law; None without a law
    ci_high: float | None
    carried_by: str  # what moved the learning rate: "law", or a scaling rule
    from_trial: int  # whose other hyperparameters it has
    from_batch_size: int
    seen: tuple[float, float]  # the smallest and the largest batch size that the prediction rests on
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        low, high = self.seen
        return asdict(self) | {"seen": {"low": low, "high": high}, "warnings": list(self.warnings)}

    def line(self) -> str:
        """One sentence for people."""
        low, high = self.seen
        interval = "" if self.ci_low is None else f"; the law's interval is [{self.ci_low:.3g}, {self.ci_high:.3g}]"
        by = "by the law" if self.carried_by == "law" else f"by the {self.carried_by} rule"
        return (
            f"Predicted {by} for batch size {self.batch_size}: peak learning rate {self.peak_lr:.4g}{interval}; "
            f"all else is trial {self.from_trial}'s, at batch size {self.from_batch_size}; "
            f"seen from batch size {low:g} to {high:g}."
        )


@dataclass(frozen=True, kw_only=True)
class BestRate:
    """Where the best peak learning rate of a batch size lies, by the runs of a designed study."""

    low: float | None  # None if it may lie anywhere below
    high: float | None  # None if it may lie anywhere above
    confidence: float  # percent

    def line(self) -> str:
        """One sentence for people."""
        if self.low is None and self.high is None:
            return "the runs do not tell the best peak learning rate at this batch size"
        if self.low is None:
            where = f"at or below {self.high:.4g}"
        elif self.high is None:
            where = f"at or above {self.low:.4g}"
        else:
            where = f"between {self.low:.4g} and {self.high:.4g}"
        return f"the best peak learning rate at this batch size lies {where} ({self.confidence:.3g} % confidence)"


@dataclass(frozen=True)
class Fresh:
    """Scores on seeds that the search did not see."""

    scores: tuple[float, ...]  # two or more

    @property
    def mean(self) -> float:
        """Of the scores."""
        return mean_and_error(self.scores)[0]

    @property
    def error(self) -> float:
        """Standard error of the mean, over the seeds."""
        return mean_and_error(self.scores)[1]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What to train with, and how good it is."""

    trial: int
    value: float  # of the trial; NaN of a predicted one, which was not trained
    standard_error: float | None
    standard_error_of: ErrorSource  # the seeds of the trial, or the finite validation set where there is one seed
    n_replicates: int
    replicate_values: Sequence[float]
    tied_with_best: bool | None  # whether it cannot be told from the best; None where an error is unknown
    config: TrainConfig
    suggested: Mapping[str, Any]  # the parameters of the trial, as Optuna names them
    versions: Mapping[str, str]  # of the packages that the trial was computed with
    seconds: float | None
    device: str | None
    predicted: Predicted | None = None
    fresh: Fresh | None = None  # of one that the race trained again

    @property
    def score(self) -> float:
        """The mean on fresh seeds, or else the value."""
        return self.fresh.mean if self.fresh else self.value

    @property
    def score_error(self) -> float | None:
        """The standard error of the score."""
        return self.fresh.error if self.fresh else self.standard_error

    @property
    def seconds_a_run(self) -> float | None:
        """Seconds of one seed, evaluation included."""
        return None if self.seconds is None else self.seconds / self.n_replicates

    @property
    def peak_lr(self) -> float:
        """The learning rate after warmup and before decay."""
        return self.config.peak_lr

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters, with the user's own.

        Of a study without a learning rate those that it searches, or that are not at their default.
        """
        known = self.config.model_dump(mode="json", include=set(PER))
        if self.config.peak_lr is None:
            for knob in KNOBS:
                if not {knob.name, knob.parameter} & set(self.suggested) and known.get(knob.name) == knob.default:
                    known.pop(knob.name, None)
        return known | self.config.parameters

    @property
    def derived(self) -> dict[str, Any]:
        """What follows from the hyperparameters, as far as the study has them."""
        if self.config.peak_lr is None:
            return {name: value for name in ("steps", "examples") if (value := getattr(self.config, name)) is not None}
        return self.config.model_dump(mode="json", include=_DERIVED)

    def as_point(self) -> dict[str, Any]:
        """For JSON: score and seconds of a run beside all else."""
        return self.as_dict() | {"score": self.score, "seconds_a_run": self.seconds_a_run}

    def as_dict(self) -> dict[str, Any]:
        """For JSON, YAML and TOML."""
        facts: dict[str, Any] = {
            "trial": self.trial,
            "value": None if self.predicted else self.value,
            "standard_error": self.standard_error,
            "standard_error_of": self.standard_error_of,
            "n_replicates": self.n_replicates,
            "replicate_values": list(self.replicate_values),
            "tied_with_best": self.tied_with_best,
            "seconds": self.seconds,
            "device": self.device,
        }
        if self.fresh:
            facts["fresh"] = asdict(self.fresh) | {
                "value": self.fresh.mean, "standard_error": self.fresh.error, "n_seeds": len(self.fresh.scores)
            }  # fmt: skip
        if self.predicted:
            facts["predicted"] = self.predicted.as_dict()
        return facts | {"peak_lr": self.peak_lr, "params": self.params, "derived": self.derived}
