"""What each scaling rule costs where a tuned learning rate is moved to other batch sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import BatchlawError, DataError, StudyError
from batchlaw.laws.law import Law
from batchlaw.laws.prediction import TARGETS
from batchlaw.laws.studies import best_score, stored_laws
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import plain
from batchlaw.results.sharing import lines_of
from batchlaw.spec import StudySpec
from batchlaw.stats.contrast import Contrast
from batchlaw.stats.curves import LINE
from batchlaw.stats.holm import holm
from batchlaw.stats.surface import Floats
from batchlaw.stats.transfer import Transferred, comparable, seed_error, transfer_by_law, transfer_by_rule

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.claims.verdict import Grade
    from batchlaw.storage import StoredStudy


NO_SDE = "it changes Adam's averages with the rate, which no run here does"


@dataclass(frozen=True, eq=False)
class Rule:
    """What one rule costs."""

    name: str
    carried: Transferred
    regret: Contrast  # mean cost over the batch sizes beside the reference
    worst: int  # row of the batch size with the largest mean cost
    excess: Contrast | None  # over the least costly rule; None for that rule
    p_adjusted: float | None  # Holm's, of that excess


@dataclass(frozen=True, eq=False, repr=False)
class Transfer:
    """What it costs to move a tuned learning rate to other batch sizes by a rule, in place of tuning it there.

    A cost is a loss of score, in the unit of the score and positive where the rule is worse than tuning anew. The
    transfer of a study or table with several strata is that of the one with the best score; `strata` has them all.

    Attributes:
        law: of the stratum.
        given: the batch sizes.
        reference: the row of the batch size whose rate is moved.
        rules: the least costly first.
        unmeasured: rules that the runs cannot tell of, and why.
        errors: standard error of the score after tuning, at each batch size.
        strata: the transfer in every stratum.
    """

    law: Law
    given: Floats
    reference: int
    rules: tuple[Rule, ...]
    unmeasured: dict[str, str]
    errors: Floats
    strata: tuple["Transfer", ...] = ()

    @property
    def grade(self) -> "Grade":
        """As `batchlaw.Law.grade`."""
        return self.law.grade

    @property
    def guide(self) -> str | None:
        """Why the costs are a guide and no test, as a clause; None where they are a test."""
        return self.law.smooth.guide if self.law.smooth is not None else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Of a table: sentences on what is missing, diverged, left out or merged in it."""
        return tuple(dict.fromkeys(note for part in (self, *self.strata) for note in part.law.notes))

    @property
    def read(self) -> str:
        """As `batchlaw.Law.read`."""
        return self.law.read

    @property
    def reference_batch_size(self) -> float:
        """The batch size whose tuned learning rate is moved, in examples."""
        return float(self.given[self.reference])

    @property
    def costs(self) -> "pd.DataFrame":
        """What each rule costs at each batch size, a row each.

        Columns: rule; batch_size; lr, the learning rate by the rule; cost, with its interval from low to high, over
        seeds or, of single runs, over surfaces that they allow; at_least, where the rate lies beyond those tried and
        counts as the last of them.
        """
        import pandas as pd

        rows = []
        for rule in self.rules:
            for row, batch_size in enumerate(self.given.tolist()):
                found = rule.carried.mean(np.array([row]), self.law.alpha)
                rows.append(
                    {
                        "rule": rule.name, "batch_size": batch_size,
                        "lr": float(2 ** rule.carried.rates[row].mean()), "cost": found.difference,
                        "low": found.ci_low, "high": found.ci_high, "at_least": bool(rule.carried.beyond[row]),
                    }
                )  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def means(self) -> "pd.DataFrame":
        """What each rule costs as a mean over the batch sizes beside the reference, the least costly first.

        Columns: rule; cost, with its interval over seeds from low to high; worst, the largest cost at a batch size, and
        worst_batch_size; excess over the first rule, from excess_low to excess_high; p_adjusted, that it costs no more
        than the first (Holm).
        """
        import pandas as pd

        rows = []
        for rule in self.rules:
            excess = rule.excess
            rows.append(
                {
                    "rule": rule.name, "cost": rule.regret.difference, "low": rule.regret.ci_low,
                    "high": rule.regret.ci_high, "worst": float(rule.carried.regrets[rule.worst].mean()),
                    "worst_batch_size": float(self.given[rule.worst]),
                    "excess": excess and excess.difference, "excess_low": excess and excess.ci_low,
                    "excess_high": excess and excess.ci_high, "p_adjusted": rule.p_adjusted,
                }
            )  # fmt: skip
        frame = pd.DataFrame(rows)
        return frame.astype({name: float for name in frame.columns if name != "rule"})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        record: dict[str, Any] = (
            plain(
                {
                    "title": self.law.title,
                    "stratum": self.law.stratum,
                    "grade": self.grade,
                    "reference_batch_size": self.reference_batch_size,
                    "costs": self.costs.to_dict("records"),
                    "means": self.means.to_dict("records"),
                    "unmeasured": self.unmeasured,
                    "guide": self.guide,
                    "notes": self.notes,
                    "read": self.read,
                }
            )
            | self.law.told_sharing
        )
        return record | ({"strata": [part.as_dict() for part in self.strata]} if self.strata else {})

    def __repr__(self) -> str:
        return "\n  ".join([self._heading, *self._lines])

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, self._lines, self.means, self.costs)

    @property
    def _heading(self) -> str:
        where = ", ".join(filter(None, (self.law.title, self.law.name)))
        moved = f"the learning rate tuned at batch size {self.reference_batch_size:g}, moved to the others"
        return f"Transfer on {where}: {moved} ({self.grade})"

    @property
    def _lines(self) -> list[str]:
        lines = [f"{rule.name}: mean cost {rule.regret}" for rule in self.rules]
        lines += [f"this is a guide and no test: {self.guide}"] if self.guide else []
        lines += [f"{name}: not measured; {reason}" for name, reason in self.unmeasured.items()]
        lines += lines_of(self.law.sharing)
        lines += [part._heading for part in self.strata if part.law.stratum != self.law.stratum]
        return [*lines, *([f"read: {self.read}"] if self.read else ()), *(f"note: {note}" for note in self.notes)]


def transfer_of_study(
    stored: "StoredStudy", *, reference_batch_size: int | None = None, bootstrap_seed: int = 0
) -> Transfer:
    """What each scaling rule costs on the runs of a designed study.

    Args:
        stored: the study.
        reference_batch_size: whose tuned learning rate is moved; None takes the study's, or the nearest to it.
        bootstrap_seed: of the draws of optima from their sets, 0 or more.

    Raises:
        StudyError: the study was searched, or has cells without a result.
        BatchlawError: the reference is none of its batch sizes.
    """
    spec = stored.spec
    if spec.claim is None:
        raise StudyError(
            f"study {spec.name!r} was searched: the cost of a rule needs every learning rate at every batch size, as a "
            "study file with [claim] in place of [search] has"
        )
    laws = stored_laws(stored, bootstrap_seed)
    score_of = best_score(spec)
    return joined(transfers_of(spec, laws, reference=reference_batch_size), lambda part: score_of(part.law))


def joined(parts: list[Transfer], score_of: Callable[[Transfer], float]) -> Transfer:
    """The transfer in the stratum with the best score, with those in all."""
    return replace(max(parts, key=score_of), strata=tuple(parts))


def transfers_of(spec: StudySpec, laws: Sequence[Law], *, reference: int | None = None) -> list[Transfer]:
    """The transfer in each stratum of a designed study.

    Raises:
        BatchlawError: the reference is none of its batch sizes.
        DataError: costs can be told at fewer than two of its batch sizes.
    """
    nearest = spec.space.reference_batch_size
    return [transfer_of(at_comparable(law), reference, nearest=nearest) for law in laws]


def at_comparable(law: Law) -> Law:
    """The law with the surface of the batch sizes at which costs can be told, and a note on the others.

    Raises:
        DataError: fewer than two are left.
    """
    assert law.surface is not None
    rows = comparable(law.surface)
    if rows.all():
        return law
    sizes = ", ".join(f"{size:g}" for size in law.surface.given[~rows])
    note = f"no cost is told at batch size {sizes}: a seed has fewer than 3 scores there, or every run diverged"
    if rows.sum() < 2:
        raise DataError(f"{note}; a cost needs two batch sizes")
    return replace(law, surface=law.surface.at(rows), notes=(*law.notes, note))


def transfer_of(law: Law, reference: float | None, *, nearest: float) -> Transfer:
    """The costs of the constant, square root and linear rules and of the law, on the surface of a law.

    Rates are tuned on other seeds than those scored, the law on other batch sizes as well.

    Args:
        law: with a surface of paired seeds, three or more.
        reference: the batch size whose rate is moved.
        nearest: the one that it lies nearest to, where it is None.

    Raises:
        BatchlawError: the reference is none of the batch sizes.
    """
    surface = law.surface
    assert surface is not None and surface.paired
    row = row_of(surface.given, reference, nearest=nearest)
    carried = {name: transfer_by_rule(surface, row, slope) for name, slope in TARGETS.items() if name != "sde"}
    unmeasured = {"sde": NO_SDE}
    by_law = transfer_by_law(surface, law.fitted.fit.curve if law.fitted else LINE)
    if by_law is None:
        unmeasured["law"] = law.lack or "without one seed too few batch sizes have an identified optimum"
    else:
        carried["law"] = by_law
    return ranked(law, surface.given, row, carried, unmeasured, seed_error(surface))


def row_of(given: Floats, reference: float | None, *, nearest: float) -> int:
    """The row of the reference batch size, or of the nearest one to another where there is none.

    Raises:
        BatchlawError: the reference is none of the batch sizes.
    """
    if reference is not None and not np.isclose(given, reference).any():
        raise BatchlawError(
            f"must be one of {', '.join(f'{size:g}' for size in given)}",
            argument="reference_batch_size", got=reference,
        )  # fmt: skip
    return int(np.abs(np.log2(given) - np.log2(reference or nearest)).argmin())


def ranked(
    law: Law, given: Floats, reference: int, carried: dict[str, Transferred], unmeasured: dict[str, str], errors: Floats
) -> Transfer:
    """Order the rules by their mean cost over the batch sizes beside the reference, and compare each with the first."""
    rows = np.array([row for row in range(len(given)) if row != reference])
    order = sorted(carried, key=lambda name: float(carried[name].regrets[rows].mean()))
    excess = {name: carried[name].less(carried[order[0]], rows, law.alpha) for name in order[1:]}
    adjusted = dict(zip(excess, holm(np.array([e.p_value for e in excess.values()])).tolist(), strict=True))
    rules = [
        Rule(
            name, carried[name], carried[name].mean(rows, law.alpha),
            int(rows[carried[name].regrets[rows].mean(axis=1).argmax()]), excess.get(name), adjusted.get(name),
        )
        for name in order
    ]  # fmt: skip
    return Transfer(law, given, reference, tuple(rules), unmeasured, errors)
