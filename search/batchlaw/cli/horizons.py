"""The horizons of a study whose wsd runs were scored at several shares of their budget."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from batchlaw.cli.console import output
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from batchlaw.claims.claim import Claim
    from batchlaw.laws.law import Law

HorizonOption = Annotated[
    float | None,
    typer.Option("--horizon", metavar="SHARE", help="Of the budget, one of schedule.horizons; without it the whole."),
]


def refuse_of_a_file(horizon: float | None) -> None:
    """Refuse a horizon where the runs come from a file."""
    if horizon is not None:
        raise BatchlawError("goes with a study", argument="horizon", got=horizon)


def show_claims(horizons: tuple[float, ...], claim_at: Callable[[float], "Claim"]) -> None:
    """Print the verdict at each horizon."""
    grid = Table("horizon", "", "verdict", "slope", box=None)
    for horizon in horizons:
        found = claim_at(horizon)
        grid.add_row(f"{horizon:g}", found.hypothesis, found.verdict, _interval(found.slope, found.low, found.high))
    output.print(grid)


def show_laws(horizons: tuple[float, ...], law_at: Callable[[float], "Law"]) -> None:
    """Print the exponent of each stratum at each horizon."""
    grid = Table("horizon", "", "exponent of lr_opt(B)", box=None)
    for horizon in horizons:
        for part in law_at(horizon).strata:
            grid.add_row(f"{horizon:g}", part.name, part.lack or _interval(part.exponent, part.low, part.high))
    output.print(grid)


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"{'in' if value is None else f'{value:.2f}'} [{low:.2f}, {high:.2f}]"
