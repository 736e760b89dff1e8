"""Which rule to carry a learning rate by: what each costs on the runs of a designed study."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlaw.errors import BatchlawError, StudyError
from batchlaw.laws.law import StudyLaw
from batchlaw.laws.prediction import TARGETS
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import Contrast
from batchlaw.stats.curves import LINE
from batchlaw.stats.holm import holm
from batchlaw.stats.surface import Surface
from batchlaw.stats.transfer import Transferred, difference, seed_error, transfer_by_law, transfer_by_rule


@dataclass(frozen=True, eq=False)
class Rule:
    """What one rule costs, in the study's metric; regrets are positive where it is worse than tuning anew."""

    name: str
    carried: Transferred
    regret: Contrast  # mean over batch sizes
    worst: int  # row of the batch size with the largest mean regret
    excess: Contrast | None  # over the least costly rule; None for that rule
    p_adjusted: float | None  # Holm's, of that excess


@dataclass(frozen=True, eq=False)
class Transfer:
    """Of one stratum."""

    law: StudyLaw
    surface: Surface  # the batch size given
    reference: int  # row
    rules: tuple[Rule, ...]  # the least costly first
    unmeasured: dict[str, str]  # rules that the stored runs cannot tell of, and why
    errors: np.ndarray  # standard error over seeds of the score after tuning, at each batch size

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "stratum": self.law.stratum,
            "reference_batch_size": float(self.surface.given[self.reference]),
            "rules": [self._rule(rule) for rule in self.rules],
            "unmeasured": self.unmeasured,
        }

    def _rule(self, rule: Rule) -> dict[str, Any]:
        regret, excess = rule.regret, rule.excess
        return {
            "rule": rule.name,
            "regret": {"value": regret.difference, "ci_low": regret.ci_low, "ci_high": regret.ci_high},
            "excess": excess
            and {
                "value": excess.difference, "ci_low": excess.ci_low, "ci_high": excess.ci_high,
                "p_adjusted": rule.p_adjusted,
            },
            "per_batch_size": [
                {
                    "batch_size": float(batch_size),
                    "lr": float(2 ** rate),
                    "regret": float(regret_),
                    "standard_error": float(error),
                    "at_least": bool(beyond),
                }
                for batch_size, rate, regret_, error, beyond in zip(
                    self.surface.given, rule.carried.rates.mean(axis=1), rule.carried.regrets.mean(axis=1),
                    self.errors, rule.carried.beyond, strict=True,
                )
            ],
        }  # fmt: skip


def transfers_of(spec: StudySpec, laws: list[StudyLaw], *, reference: int | None = None) -> list[Transfer]:
    """The regret of the constant, square root and linear rules and of the law, on each stratum.

    Rates are tuned on the other seeds than those scored, the law on the other batch sizes as well.

    Raises:
        StudyError: the study is no designed one.
        BatchlawError: the reference is none of its batch sizes.
    """
    if spec.claim is None:
        raise StudyError(
            f"study {spec.name!r} was searched: what a rule costs shows where every batch size has every rate; "
            "a study file with [claim] in the place of [search] does"
        )
    return [_transfer(spec, law, reference) for law in laws]


def _transfer(spec: StudySpec, law: StudyLaw, reference: int | None) -> Transfer:
    surface = law.surface
    assert surface is not None
    sizes = surface.given.tolist()
    wanted = reference or spec.space.reference_batch_size
    if reference is not None and reference not in sizes:
        raise BatchlawError(f"--reference: got {reference}; must be one of {', '.join(f'{size:g}' for size in sizes)}")
    row = int(np.abs(np.log2(surface.given) - np.log2(wanted)).argmin())
    carried = {name: transfer_by_rule(surface, row, slope) for name, slope in TARGETS.items() if name != "sde"}
    unmeasured = {"sde": "it moves Adam's averages with the rate, which no run of this study does; --train runs it"}
    by_law = transfer_by_law(surface, law.law.fit.curve if law.law else LINE)
    if by_law is None:
        unmeasured["law"] = law.lack or "without one seed too few batch sizes have an identified optimum"
    else:
        carried["law"] = by_law
    return ranked(law, row, carried, unmeasured)


def ranked(law: StudyLaw, reference: int, carried: dict[str, Transferred], unmeasured: dict[str, str]) -> Transfer:
    """Order rules by their mean regret over the batch sizes beside the reference, and compare each with the first."""
    assert law.surface is not None
    rows = np.array([row for row in range(len(law.surface.given)) if row != reference])
    order = sorted(carried, key=lambda name: float(carried[name].regrets[rows].mean()))
    excess = {name: difference(carried[name], carried[order[0]], rows) for name in order[1:]}
    adjusted = dict(zip(excess, holm(np.array([e.p_value for e in excess.values()])).tolist(), strict=True))
    rules = [
        Rule(
            name, carried[name], carried[name].mean(rows),
            int(rows[carried[name].regrets[rows].mean(axis=1).argmax()]), excess.get(name), adjusted.get(name),
        )
        for name in order
    ]  # fmt: skip
    return Transfer(law, law.surface, reference, tuple(rules), unmeasured, seed_error(law.surface))
