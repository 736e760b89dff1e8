"""The configuration for a batch size that was never tried: the best trial's, with the learning rate moved."""

from dataclasses import dataclass
from math import nan
from typing import Any, Literal, get_args

from batchlaw.errors import BatchlawError, ConfigError
from batchlaw.laws.law import StudyLaw
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.scaling import family_factor
from batchlaw.recipe.space import point_of
from batchlaw.results.ranking import Configuration
from batchlaw.results.records import TrialRecord, best_first
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import FAMILIES, families_with
from batchlaw.spec.knobs import ScalingRule
from batchlaw.stats.slope import Slope

CarriedBy = Literal["law", "constant", "sqrt", "linear", "sde"]
CARRIERS: tuple[str, ...] = get_args(CarriedBy)
TARGETS = {"constant": 0.0, "sqrt": 0.5, "sde": 0.5, "linear": 1.0}  # slope of log ε on log B that a rule claims


@dataclass(frozen=True)
class Prediction:
    """A configuration for another batch size."""

    config: TrainConfig
    source: TrialRecord  # the trial whose other knobs it has
    carried_by: CarriedBy
    lr_low: float | None  # the interval of the best rate, by the law; None without one
    lr_high: float | None
    seen: tuple[float, float]  # batch sizes
    warnings: tuple[str, ...]

    def configuration(self) -> Configuration:
        """To export; it has no score, since it was not trained."""
        return Configuration(
            trial=self.source.number, value=nan, standard_error=None, standard_error_of="unknown", n_replicates=0,
            replicate_values=[], tied_with_best=None, config=self.config, suggested=self.source.params,
            versions=dict(self.source.result.versions), seconds=None, device=self.source.result.device,
            predicted=self.as_dict(),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        low, high = self.seen
        return {
            "batch_size": self.config.batch_size,
            "peak_lr": self.config.peak_lr,
            "ci_low": self.lr_low,
            "ci_high": self.lr_high,
            "carried_by": self.carried_by,
            "from_trial": self.source.number,
            "from_batch_size": self.source.known_config.batch_size,
            "seen": {"low": low, "high": high},
            "warnings": list(self.warnings),
        }


def predict(
    spec: StudySpec, laws: list[StudyLaw], batch_size: int, *, carried_by: CarriedBy = "law", extrapolate: bool = False
) -> Prediction:
    """Take the stratum of the best trial, and move its learning rate to a batch size.

    Raises:
        BatchlawError: the batch size lies outside what was seen, or exceeds the training size, there is no law, or the
            rule cannot be applied; one line.
    """
    study_law = _of_the_best(spec, laws)
    source = best_first(study_law.records, spec.direction)[0]
    law = study_law.law
    if batch_size > spec.n_train:
        raise BatchlawError(
            f"--for-batch-size: got {batch_size}; must be at most {spec.n_train}, the training examples of an epoch"
        )
    if carried_by == "law" and law is None:
        raise BatchlawError(
            f"--for-batch-size: got {batch_size}; study {spec.name!r} shows no law{_of(study_law)}: {study_law.lack}; "
            "--rule sqrt or linear carries the best trial's rate untested"
        )
    tried = [record.known_config.batch_size for record in study_law.records if record.outcome == Outcome.COMPLETE]
    low, high = seen = law.seen if law and carried_by == "law" else (float(min(tried)), float(max(tried)))
    warnings = []
    if not low <= batch_size <= high:
        if not extrapolate:
            what = "the law was seen" if carried_by == "law" else "trials ran"
            raise BatchlawError(
                f"--for-batch-size: got {batch_size}; {what} from {low:g} to {high:g}{_of(study_law)}; "
                "--extrapolate goes beyond"
            )
        warnings.append(f"batch size {batch_size} lies outside {low:g} to {high:g}, where it was seen")
    if study_law.arm == "search":
        warnings.append("searched trials are a guide to the law, not a test of it")
    if carried_by != "law" and law and (refuted := _refuted(law.exponent, carried_by, spec)):
        warnings.append(refuted)
    config = _moved(spec, source, batch_size, carried_by, law.predict(batch_size)[0] if law else None)
    _, lr_low, lr_high = law.predict(batch_size) if law else (None, None, None)
    return Prediction(config, source, carried_by, lr_low, lr_high, seen, tuple(warnings))


def _of(study_law: StudyLaw) -> str:
    return f" of {study_law.name}" if study_law.stratum else ""


def _of_the_best(spec: StudySpec, laws: list[StudyLaw]) -> StudyLaw:
    """The stratum that the best trial belongs to."""
    bests = [(best[0], law) for law in laws if (best := best_first(law.records, spec.direction))]
    if not bests:
        raise BatchlawError(f"study {spec.name!r} has no finished trial yet")
    first = best_first([record for record, _ in bests], spec.direction)[0]
    return next(law for record, law in bests if record.number == first.number)


def _refuted(exponent: Slope, rule: str, spec: StudySpec) -> str | None:
    """As the claims H6 and H7 are: the interval of the slope excludes the band around the rule's."""
    margin = spec.claim.margin if spec.claim else 0.25
    target = TARGETS[rule]
    if exponent.ci_low <= target + margin and exponent.ci_high >= target - margin:
        return None
    found = f"{exponent.slope:.2f} [{exponent.ci_low:.2f}, {exponent.ci_high:.2f}]"
    return f"this study speaks against the {rule} rule: the best rate grows as B^{found}, not as B^{target:g}"


def _moved(
    spec: StudySpec, source: TrialRecord, batch_size: int, carried_by: CarriedBy, lr: float | None
) -> TrainConfig:
    """The source's configuration at another batch size, with all that follows from it."""
    old = source.known_config
    rule: ScalingRule = "constant" if carried_by == "law" else carried_by
    factor = family_factor(old.optimizer, old.momentum) if spec.space.family_factors else 1.0
    # What the source trained with is the reference from which the rule goes on.
    averages = {"beta1": old.beta1, "eps": old.eps} | ({FAMILIES[old.optimizer].second_moment or "beta2": old.beta2})
    space = spec.space.model_copy(update={"reference_batch_size": old.batch_size, **averages})
    base_lr = (old.peak_lr if lr is None or carried_by != "law" else lr) / factor
    point = point_of(source.params, spec.space).model_copy(
        update={"batch_size": batch_size, "base_lr": base_lr, "scaling_rule": rule}
    )
    try:
        derived_for = families_with("beta2")
        if carried_by == "sde" and old.optimizer not in derived_for:
            raise ConfigError(
                f"the sde rule is derived for {', '.join(derived_for)} only; the best trial has {old.optimizer}"
            )
        return derive(spec.model_copy(update={"space": space}), point, old.seeds)
    except ConfigError as error:
        raise BatchlawError(f"--for-batch-size: got {batch_size}; {error}") from None
