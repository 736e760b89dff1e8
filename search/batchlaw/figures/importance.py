"""The importance of each parameter for whether a trial is among the best."""

import math
import statistics
import warnings

import optuna
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import create_trial

from batchlaw.figures.style import BLACK, SKY, digits, finish
from batchlaw.recipe.space import conditional, distributions_of
from batchlaw.results.order import best_first
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS

_FEWEST = 10  # complete trials; fewer are too few to rank parameters (assumption)
_MOST = 300  # of the complete trials; PED-ANOVA takes .3 ms for each (measured on one core of a busy machine)
_GROUPS = 10  # of trials, each left out once
_NAMES = {name: knob.label for knob in KNOBS for name in (knob.name, knob.parameter)}


def importances(spec: StudySpec, records: list[TrialRecord]) -> dict[str, float]:
    """The importance of each parameter as a share, the largest first, by PED-ANOVA (Watanabe et al. 2023).

    PED-ANOVA compares the best tenth of the complete trials with all of them; of many trials, every second, third, …
    in the order of their scores stands for the others. The result is empty with fewer than 10 complete trials or two
    parameters, where all scores are equal, and for a designed study, whose full factorial H13 judges exactly.
    """
    if spec.search is None:
        return {}
    complete = best_first(records, spec.direction)
    distributions = distributions_of(spec)
    if len(complete) < _FEWEST or len(distributions) < 2 or complete[0].value == complete[-1].value:
        return {}
    return _shares(spec, complete[:: math.ceil(len(complete) / _MOST)], distributions)


def errors_of_importances(spec: StudySpec, records: list[TrialRecord]) -> dict[str, float]:
    """Standard errors of the shares, by the jackknife over tenths of the trials (Efron & Tibshirani 1993, chapter 11).

    Empty where there are no shares, or too few trials for them without a tenth.
    """
    rest = [
        importances(spec, [r for place, r in enumerate(records) if place % _GROUPS != group])
        for group in range(_GROUPS)
    ]
    if not all(rest):
        return {}
    errors = {}
    for name in {name for shares in rest for name in shares}:
        values = [shares.get(name, 0.0) for shares in rest]
        errors[name] = math.sqrt((_GROUPS - 1) * statistics.pvariance(values))
    return errors


def _shares(
    spec: StudySpec, complete: list[TrialRecord], distributions: dict[str, BaseDistribution]
) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # imports scikit-learn

    some = {name for names in conditional(spec) for name in names}
    study = optuna.create_study(direction=spec.direction)
    study.add_trials(
        [
            create_trial(
                params=record.params,
                distributions={name: distributions[name] for name in record.params},
                value=record.value,
            )
            for record in complete
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator()
        if not some:
            return get_param_importances(study, evaluator=evaluator)
        found = evaluator.evaluate(study, params=[name for name in distributions if name not in some])
        for name in some:  # by the trials that have it, and counted with their share of all
            n_having = sum(name in record.params for record in complete)
            if n_having >= _FEWEST:
                found |= {
                    each: value * n_having / len(complete)
                    for each, value in evaluator.evaluate(study, params=[name]).items()
                }
    total = sum(found.values())
    shares = {name: value / total if total else 0.0 for name, value in found.items()}
    return dict(sorted(shares.items(), key=lambda each: -each[1]))


def importance_figure(spec: StudySpec, records: list[TrialRecord]) -> go.Figure | None:
    """The shares as bars, the largest on top."""
    shares = importances(spec, records)
    if not shares:
        return None
    names, values = zip(*reversed(shares.items()), strict=True)
    errors = errors_of_importances(spec, records)
    ends = [1.96 * errors.get(name, 0.0) for name in names]
    bars = {
        "array": digits((min(end, 1 - value) for end, value in zip(ends, values, strict=True)), 4),
        "arrayminus": digits((min(end, value) for end, value in zip(ends, values, strict=True)), 4),
        "thickness": 1.3, "color": BLACK,
    }  # fmt: skip
    figure = go.Figure(
        go.Bar(
            x=digits(values, 4), y=[_NAMES.get(name, name) for name in names], orientation="h",
            marker={"color": SKY}, error_x=bars, hovertemplate="%{y}: %{x:.0%}<extra></extra>",
        )
    )  # fmt: skip
    return finish(
        figure,
        "What decides whether a trial is good",
        "shares of what sets the best tenth of complete trials apart from all (PED-ANOVA)"
        + "; lines: 95 % intervals by the jackknife" * bool(errors),
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        height=150 + 30 * len(names),
    )
