"""Laws and transfers of single runs, by a smooth surface through them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import DataError
from batchlaw.laws.law import Law
from batchlaw.laws.prediction import TARGETS
from batchlaw.laws.transfer import NO_SDE, Transfer, ranked, row_of
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.fitted_surface import Lack, fitted_surface
from batchlaw.stats.fitted_transfer import Carrying
from batchlaw.stats.law import law_of
from batchlaw.stats.scattered import Scattered
from batchlaw.stats.transfer import Transferred

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.claims.scattered import RaggedTable
    from batchlaw.tables.reading import ReadTable

Group = dict[str, Any]


def laws_of_single_runs(runs: "ReadTable", curve_of: Callable[[Group], Curve], alpha: float) -> list[Law]:
    """The law of each group of a table, or of each large block where other columns part the runs.

    Args:
        runs: the table, as read.
        curve_of: the curve that bends, which is tried beside a line, by the levels of a group.
        alpha: 1 minus the confidence of every interval.
    """
    from batchlaw.claims.scattered import ragged

    columns = runs.columns
    groups: list[tuple[Group, pd.DataFrame]] = [({}, runs.table)]
    if columns.by:
        parts = runs.table.groupby(list(columns.by), sort=True)
        groups = [(dict(zip(columns.by, key, strict=True)), part) for key, part in parts]
    laws, told = [], list(runs.notes)
    for group, part in groups:
        found = ragged(part, columns)
        told += _parted(found)
        for stratum, own in _strata(group, found):
            laws.append(_law(runs.title, stratum, own, curve_of(stratum), alpha))
    return [replace(law, notes=tuple(dict.fromkeys(told)), read=columns.recognised) for law in laws]


def _strata(group: Group, found: "RaggedTable") -> list[tuple[Group, Scattered]]:
    large = found.large
    if not large:
        return [(group, found.runs)]
    return [(group | found.blocks[number], found.runs.at(found.runs.block == number)) for number in large]


def _parted(found: "RaggedTable") -> list[str]:
    """What the other columns do."""
    if not found.factors:
        return []
    large, named = found.large, " and ".join(found.factors)
    verb = "varies" if len(found.factors) == 1 else "vary"
    if not large:
        return [f"{named} {verb}, too: scores are compared within each of their {len(found.blocks)} combinations only"]
    told = f"{named} {verb}, too: each of their combinations has a law of its own"
    left = len(found.blocks) - len(large)
    return [told + (f", but for {left} with few runs" if left else "")]


def _law(title: str, stratum: Group, runs: Scattered, curve: Curve, alpha: float) -> Law:
    surface = fitted_surface(runs, alpha=alpha)
    if isinstance(surface, Lack):
        return Law(title=title, stratum=stratum, grade="fitted", lack=surface.reason, alpha=alpha)
    ridge = surface.ridge("batch_size")
    lack = ridge.lack_of_law
    return Law(
        title=title, stratum=stratum, grade="fitted", lack=lack, alpha=alpha, ridge=ridge, smooth=surface,
        fitted=None if lack else law_of(ridge, curve, alpha=alpha),
    )  # fmt: skip


def transfers_of_single_runs(laws: Sequence[Law], reference: float | None) -> list[Transfer]:
    """What each rule costs in each stratum that has a surface.

    Args:
        laws: of all strata.
        reference: the batch size whose tuned rate is moved; None takes the middle one.

    Raises:
        DataError: costs can be told in no stratum.
        BatchlawError: the reference is none of a stratum's batch sizes.
    """
    found = []
    for law in laws:
        carrying = Carrying.of(law.smooth) if law.smooth is not None else None
        if carrying is not None:
            found.append(_transfer(law, carrying, reference))
    if not found:
        raise DataError(f"no cost can be told: {laws[0].lack or 'rates were tried at fewer than two batch sizes'}")
    return found


def _transfer(law: Law, carrying: Carrying, reference: float | None) -> Transfer:
    generator = np.random.default_rng(0)
    given = carrying.given
    row = row_of(given, reference, nearest=float(given[len(given) // 2]))
    carried: dict[str, Transferred] = {
        name: carrying.by_slope(row, slope, generator) for name, slope in TARGETS.items() if name != "sde"
    }
    unmeasured = {"sde": NO_SDE}
    by_law = carrying.by_law(law.fitted.fit.curve if law.fitted else LINE, generator)
    if by_law is None:
        unmeasured["law"] = law.lack or "without one batch size too few have an identified optimum"
    else:
        carried["law"] = by_law
    return ranked(law, given, row, carried, unmeasured, carrying.errors(generator))
