"""Laws and transfers of single runs, by a smooth surface through them."""

from typing import TYPE_CHECKING

import numpy as np

from batchlaw.laws.law import Law
from batchlaw.laws.prediction import TARGETS
from batchlaw.laws.transfer import NO_SDE, Transfer, ranked, row_of
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.fitted_transfer import Carrying
from batchlaw.stats.law import law_of
from batchlaw.stats.transfer import Transferred

if TYPE_CHECKING:
    from batchlaw.claims.strata import Stratum


def law_of_stratum(stratum: "Stratum", title: str, curve: Curve, alpha: float) -> Law:
    """The law of runs without replicates: by the surface that was fitted to them, or none where they are described.

    Args:
        stratum: without replicates.
        title: of the table.
        curve: the curve that bends, which is tried beside a line.
        alpha: 1 minus the confidence of every interval.
    """
    surface = stratum.smooth
    if surface is None:
        return Law(
            title=title, stratum=stratum.levels, grade="observed", lack="; ".join(stratum.lacks), alpha=alpha,
            observed=stratum.observed,
        )  # fmt: skip
    ridge = surface.ridge("batch_size")
    lack = ridge.lack_of_law
    return Law(
        title=title, stratum=stratum.levels, grade="fitted", lack=lack, alpha=alpha, ridge=ridge, smooth=surface,
        fitted=None if lack else law_of(ridge, curve, alpha=alpha), observed=stratum.observed if lack else None,
    )  # fmt: skip


def transfer_of_single_runs(law: Law, reference: float | None) -> Transfer | None:
    """What each rule costs by the surface of a law; None where it has none, or rates at one batch size only.

    Args:
        law: of single runs.
        reference: the batch size whose tuned rate is moved; None takes the middle one.

    Raises:
        BatchlawError: the reference is none of the batch sizes.
    """
    carrying = Carrying.of(law.smooth) if law.smooth is not None else None
    if carrying is None:
        return None
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
