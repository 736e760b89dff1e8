"""Designing the studies from which a run can be planned, by a study file and the steps that were timed."""

import sys
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import BatchlawError, StorageError, StudyError
from batchlaw.spec import StudySpec, extremes, read_spec
from batchlaw.spec.network_size import n_parameters
from batchlaw.study.files import StrPath
from batchlaw.study.study import Study, url_of

if TYPE_CHECKING:
    from batchlaw.laws.plan_design import PlanDesign
    from batchlaw.results.step_time import Profile


def plan_design(
    file: StrPath, *, at: Mapping[str, float], up_to: float | None = None, factor: float = 2.0, alpha: float = 0.05,
    storage: str | None = None, tick: Callable[[int, int], None] = lambda done, total: None,
) -> "PlanDesign":  # fmt: skip
    """The cheapest designed studies from which a longer or larger run can be planned; nothing is trained or written.

    >>> design = bl.plan_design("studies/plan-digits.toml", at={"examples": 327_680}, up_to=32_768, factor=3)
    >>> design.expected_factor < 3
    True
    >>> design.write("plans")  # a study file for each horizon  # doctest: +SKIP

    Run the studies, and give them to `batchlaw.plan`. Their batch sizes and learning rates are those of the file's
    space; of a range of rates every octave.

    Args:
        file: a study file: the task, the space and the metric; its budget does not count.
        at: the run asked for: "examples", or "tokens" of a study with `tokens_per_example`; and "parameters", where the
            width of a built-in mlp, cnn or gpt is to be varied.
        up_to: the most examples (or tokens) of a run of the design; None: as it pays.
        factor: wanted of the forecast interval of the learning rate, its upper end over its lower end; above 1.
        alpha: one less the confidence of the interval.
        storage: where the study of the file may be registered, whose profile, or whose trials, tell the seconds of a
            step. Without these cost is counted in trained examples.
        tick: called with the sets of studies that were weighed, and their number.

    Raises:
        SpecError: the file is wrong, or varies what a law must hold fixed.
        BatchlawError: an argument has a value that cannot be used, or no design reaches the factor.
    """
    from batchlaw.laws.designing import design_of
    from batchlaw.tables.columns import check_statistics

    check_statistics(alpha, 0)
    spec = read_spec(Path(file))
    if _number("factor", factor) <= 1:
        raise BatchlawError("must be above 1", argument="factor", got=factor)
    asked = _asked(spec, at)
    longest = None if up_to is None else _number("up_to", up_to) / _unit(spec, at)
    profile, timed = _timed(spec, url_of(storage))
    if "parameters" in asked:
        profile, timed = None, "steps are not timed at other sizes"
    return design_of(
        spec,
        asked,
        up_to=longest,
        factor=factor,
        alpha=alpha,
        profile=profile,
        timed=timed,
        folder=Path(file).parent,
        tick=tick,
    )


def _asked(spec: StudySpec, at: Mapping[str, float]) -> dict[str, float]:
    """The run asked for, its horizon in examples."""
    for name, value in at.items():
        if name not in ("examples", "tokens", "parameters"):
            raise BatchlawError(f"{name} must be one of examples, tokens, parameters", argument="at")
        _number("at", value)
    if len({"examples", "tokens"} & at.keys()) != 1:
        raise BatchlawError("must have examples or tokens, the horizon of the run asked for", argument="at", got=at)
    if "tokens" in at and not spec.example_tokens:
        raise BatchlawError(f"study {spec.name!r} counts no tokens; give examples", argument="at", got="tokens")
    if "parameters" in at and (spec.task is None or n_parameters(spec.task) is None):
        told = f"study {spec.name!r} has one size; the width of the built-in mlp, cnn and gpt can be varied"
        raise BatchlawError(told, argument="at", got="parameters")
    found = {"examples": at.get("examples", at.get("tokens", 0.0)) / _unit(spec, at)}
    return found | ({"parameters": float(at["parameters"])} if "parameters" in at else {})


def _unit(spec: StudySpec, at: Mapping[str, float]) -> int:
    """Of the horizon, in which `at` tells it, in an example."""
    return spec.example_tokens or 1 if "tokens" in at else 1


def _number(argument: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= sys.float_info.max:
        raise BatchlawError("must be a number above 0", argument=argument, got=value)
    return float(value)


def _timed(spec: StudySpec, storage: str) -> tuple["Profile | None", str]:
    """The seconds of a step at each batch size of the space, and where they come from."""
    from batchlaw.results.records import records_of
    from batchlaw.results.step_time import profile_of_study
    from batchlaw.results.trial_times import times_of_trials

    none = f"batchlaw profile of study {spec.name!r}, or its trials, would tell the seconds"
    try:
        stored = Study.open(spec.name, storage).stored
        profile = profile_of_study(stored)
        found = profile or times_of_trials(stored.spec, records_of(stored))
        for size in extremes(spec.space.batch_size):
            found.seconds_a_step_at(size, str(extremes(spec.space.optimizer)[0]))
    except (StorageError, StudyError):
        return None, none
    except BatchlawError as error:  # of the profile: other batch sizes, or another optimizer
        return None, f"{none} ({error})"
    return found, f"steps timed {found.where()}"
