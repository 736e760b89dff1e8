"""The configuration for a batch size that was never tried: the best trial's, with the learning rate moved."""

from functools import partial
from math import nan
from typing import Literal, get_args

from batchlaw.errors import BatchlawError, ConfigError
from batchlaw.laws.law import StudyLaw
from batchlaw.recipe.derive import derive_moved
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.configuration import Configuration, Predicted
from batchlaw.results.ranking import best_first
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import families_with
from batchlaw.stats.slope import Slope

CarriedBy = Literal["law", "constant", "sqrt", "linear", "sde"]
CARRIERS: tuple[str, ...] = get_args(CarriedBy)
TARGETS = {"constant": 0.0, "sqrt": 0.5, "sde": 0.5, "linear": 1.0}  # slope of log ε on log B that a rule claims


def predict(
    spec: StudySpec,
    laws: list[StudyLaw],
    for_batch_size: int,
    *,
    carried_by: CarriedBy = "law",
    extrapolate: bool = False,
) -> Configuration:
    """The configuration of the best trial with its learning rate moved to another batch size.

    Args:
        spec: the study.
        laws: of its strata; that of the best trial is used.
        for_batch_size: to move to.
        carried_by: what moves the learning rate: the law, or a scaling rule from the best trial on.
        extrapolate: beyond the batch sizes that the law, or the stratum, was seen at.

    Raises:
        BatchlawError: the batch size lies outside what was seen, or exceeds the training size, there is no law, or the
            rule cannot be applied; one line.
    """
    study_law = _of_the_best(spec, laws)
    source = best_first(study_law.records, spec.direction)[0]
    law = study_law.law
    refused = partial(BatchlawError, argument="for_batch_size", got=for_batch_size)
    if for_batch_size > spec.n_train:
        raise refused(f"must be at most {spec.n_train}, the training examples of an epoch")
    if carried_by == "law" and law is None:
        raise refused(f"study {spec.name!r} shows no law{_of(study_law)}: {study_law.lack}", remedy="carried_by")
    tried = [record.known_config.batch_size for record in study_law.records if record.outcome == Outcome.COMPLETE]
    low, high = seen = law.seen if law and carried_by == "law" else (float(min(tried)), float(max(tried)))
    warnings = []
    if not low <= for_batch_size <= high:
        if not extrapolate:
            what = "the law was seen" if carried_by == "law" else "trials ran"
            raise refused(f"{what} from {low:g} to {high:g}{_of(study_law)}", remedy="extrapolate")
        warnings.append(f"batch size {for_batch_size} lies outside {low:g} to {high:g}, where it was seen")
    if study_law.arm == "search":
        warnings.append("searched trials are a guide to the law, not a test of it")
    if carried_by != "law" and law and (refuted := _refuted(law.exponent, carried_by, spec)):
        warnings.append(refuted)
    lr, lr_low, lr_high = law.predict(for_batch_size) if law else (None, None, None)
    try:
        config = _moved(spec, source, for_batch_size, carried_by, lr)
    except ConfigError as error:
        raise refused(str(error)) from None
    return Configuration(
        trial=source.number,
        value=nan,
        standard_error=None,
        standard_error_of="unknown",
        n_replicates=0,
        replicate_values=(),
        tied_with_best=None,
        config=config,
        suggested=source.params,
        versions=source.result.versions,
        seconds=None,
        device=source.result.device,
        predicted=Predicted(
            batch_size=for_batch_size,
            peak_lr=config.peak_lr,
            ci_low=lr_low,
            ci_high=lr_high,
            carried_by=carried_by,
            from_trial=source.number,
            from_batch_size=source.known_config.batch_size,
            seen=seen,
            warnings=tuple(warnings),
        ),
    )


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
    old, derived_for = source.known_config, families_with("beta2")
    if carried_by == "sde" and old.optimizer not in derived_for:
        raise ConfigError(
            f"the sde rule is derived for {', '.join(derived_for)} only; the best trial has {old.optimizer}"
        )
    return derive_moved(
        spec,
        point_of(source.params, spec.space),
        old,
        batch_size=batch_size,
        peak_lr=lr if carried_by == "law" and lr is not None else old.peak_lr,
        rule="constant" if carried_by == "law" else carried_by,
        seeds=old.seeds,
    )
