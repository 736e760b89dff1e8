"""The configuration for a batch size that was never tried: the best trial's, with the learning rate moved."""

from collections.abc import Sequence
from functools import partial
from math import inf, nan
from typing import Literal, get_args

from batchlaw.errors import BatchlawError, ConfigError
from batchlaw.laws.law import Law
from batchlaw.recipe.derive import derive_moved
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.configuration import Configuration, Predicted
from batchlaw.results.order import best_first
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import families_with, family_of
from batchlaw.stats.slope import Slope

CarriedBy = Literal["law", "constant", "sqrt", "linear", "sde"]
CARRIERS: tuple[str, ...] = get_args(CarriedBy)
TARGETS = {"constant": 0.0, "sqrt": 0.5, "sde": 0.5, "linear": 1.0}  # slope of log ε on log B that a rule claims


def predict(
    spec: StudySpec,
    laws: Sequence[Law],
    for_batch_size: int,
    *,
    rule: CarriedBy = "law",
    extrapolate: bool = False,
) -> Configuration:
    """The configuration of the best trial with its learning rate moved to another batch size.

    Args:
        spec: the study.
        laws: of all its strata; that of the best trial is used.
        for_batch_size: to move to.
        rule: what moves the learning rate: the law, or a scaling rule from the best trial on.
        extrapolate: beyond the batch sizes that the law, or the stratum, was seen at.

    Raises:
        BatchlawError: the batch size lies outside what was seen, or exceeds the training size, there is no law, or the
            rule cannot be applied; one line.
    """
    law = _of_the_best(spec, laws)
    source = best_first(law.records, spec.direction)[0]
    fitted = law.fitted
    refused = partial(BatchlawError, argument="for_batch_size", got=for_batch_size)
    if spec.n_train is not None and for_batch_size > spec.n_train:
        raise refused(f"must be at most {spec.n_train}, the training examples of an epoch")
    if rule == "law" and fitted is None:
        raise refused(f"study {spec.name!r} shows no law{_of(law)}: {law.lack}", remedy="rule")
    tried = [record.known_config.batch_size for record in law.records if record.outcome == Outcome.COMPLETE]
    low, high = seen = fitted.seen if fitted and rule == "law" else (float(min(tried)), float(max(tried)))
    warnings = []
    if not low <= for_batch_size <= high:
        if not extrapolate:
            what = "the law was seen" if rule == "law" else "trials ran"
            raise refused(f"must be from {low:g} to {high:g}, where {what}{_of(law)}", remedy="extrapolate")
        if rule == "law" and fitted and not fitted.reaches(for_batch_size):
            raise refused(f"must be from {low:g} to {high:g}{_of(law)}: the exponent is not determined", remedy="rule")
        warnings.append(f"batch size {for_batch_size} lies outside {low:g} to {high:g}, where it was seen")
    if law.grade == "fitted":
        warnings.append("searched trials are a guide to the law and do not test it")
    if rule != "law" and fitted and (refuted := _refuted(fitted.exponent, rule, spec)):
        warnings.append(refuted)
    told = fitted.predict(for_batch_size) if fitted and fitted.reaches(for_batch_size) else (None, None, None)
    lr, lr_low, lr_high = told
    try:
        config = _moved(spec, source, for_batch_size, rule, lr)
    except ConfigError as error:
        raise refused(str(error)) from None
    last = fitted.last_stable(for_batch_size) if fitted and fitted.reaches(for_batch_size) else inf
    if max(config.peak_lr, lr_high or 0.0) > last * 1.001:
        which = "this rate" if config.peak_lr > last * 1.001 else "the upper end of the interval"
        warnings.append(f"{which} may diverge: {last:.3g} is the last that trains at the nearest batch sizes")
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
            carried_by=rule,
            from_trial=source.number,
            from_batch_size=source.known_config.batch_size,
            seen=seen,
            warnings=tuple(warnings),
        ),
    )


def _of(law: Law) -> str:
    return f" of {law.name}" if law.stratum else ""


def _of_the_best(spec: StudySpec, laws: Sequence[Law]) -> Law:
    """The stratum that the best trial belongs to."""
    bests = [(best[0], law) for law in laws if (best := best_first(law.records, spec.direction))]
    if not bests:
        raise BatchlawError(f"study {spec.name!r} has no finished trial yet")
    first = best_first([record for record, _ in bests], spec.direction)[0]
    return next(law for record, law in bests if record.number == first.number)


def _refuted(exponent: Slope, rule: str, spec: StudySpec) -> str | None:
    """A warning where the exponent's interval excludes the band around the rule's slope, as H6 and H7 are judged."""
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
    if carried_by == "sde" and family_of(old.optimizer) not in derived_for:
        raise ConfigError(
            f"the sde rule is derived for {', '.join(derived_for)} only; the best trial has {old.optimizer}"
        )
    return derive_moved(
        spec,
        point_of(source.params, spec),
        old,
        batch_size=batch_size,
        peak_lr=lr if carried_by == "law" and lr is not None else old.peak_lr,
        rule="constant" if carried_by == "law" else carried_by,
        seeds=old.seeds,
    )
