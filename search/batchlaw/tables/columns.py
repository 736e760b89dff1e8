"""What is asked of a table: what its columns mean, which rows count, and which runs diverged."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Self

from batchlaw.errors import BatchlawError, check_whole
from batchlaw.expressions import Expression


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean, which rows are kept, and which scores are those of runs that diverged.

    See `batchlaw.claims.claim.claim`.
    """

    lr: str
    batch_size: str
    score: tuple[str, ...]
    seed: str | None
    by: tuple[str, ...]
    average: tuple[str, ...]
    maximize: bool
    where: Expression | None
    missing_diverged: bool
    diverged_above: float | None
    diverged_below: float | None
    diverged_where: Expression | None

    @classmethod
    def of(
        cls, *, score: str | Sequence[str], lr: str = "lr", batch_size: str = "batch_size", seed: str | None = None,
        by: str | Sequence[str] | None = None, average: str | Sequence[str] | None = None,
        direction: str = "maximize", where: str | None = None, missing: str = "missing",
        diverged_above: float | None = None, diverged_below: float | None = None, diverged_where: str | None = None,
    ) -> Self:  # fmt: skip
        """From arguments; several columns are a sequence, or one text with commas.

        Raises:
            BatchlawError: the direction is none, a name is no text, or an expression is wrong.
        """
        for argument, name in {"lr": lr, "batch_size": batch_size, "seed": seed or ""}.items():
            if not isinstance(name, str):
                raise BatchlawError("must be the name of a column", argument=argument, got=name)
        if direction not in ("maximize", "minimize"):
            raise BatchlawError("must be maximize or minimize", argument="direction", got=direction)
        if missing not in ("missing", "diverged"):
            raise BatchlawError("must be missing or diverged", argument="missing", got=missing)
        bounds = {"diverged_above": ("minimize", diverged_above), "diverged_below": ("maximize", diverged_below)}
        for argument, (of, bound) in bounds.items():
            if bound is None:
                continue
            if isinstance(bound, bool) or not isinstance(bound, Real) or bound != bound:
                raise BatchlawError("must be a number", argument=argument, got=bound)
            if direction != of:  # it would name the best runs
                other = next(name for name in bounds if name != argument)
                raise BatchlawError(f"goes with a score to {of}", argument=argument, got=bound, remedy=other)
        found = cls(
            lr=lr, batch_size=batch_size, score=_names("score", score), seed=seed, by=_names("by", by or ()),
            average=_names("average", average or ()),
            maximize=direction == "maximize", where=None if where is None else Expression.parse(where, "where"),
            missing_diverged=missing == "diverged",
            diverged_above=None if diverged_above is None else float(diverged_above),
            diverged_below=None if diverged_below is None else float(diverged_below),
            diverged_where=None if diverged_where is None else Expression.parse(diverged_where, "diverged_where"),
        )  # fmt: skip
        meant: dict[str, str] = {}
        for argument, names in found.named.items():
            for name in names:
                if name in meant:
                    raise BatchlawError(f"is named by {meant[name]}, too", argument=argument, got=name)
                meant[name] = argument
        return found

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that have a meaning, by argument."""
        return {
            "lr": (self.lr,), "batch_size": (self.batch_size,), "score": self.score,
            "seed": (self.seed,) if self.seed else (), "by": self.by, "average": self.average,
        }  # fmt: skip


def _names(argument: str, columns: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        return tuple(name.strip() for name in columns.split(","))
    if not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise BatchlawError("must be the name of a column, or several names", argument=argument, got=columns)
    return tuple(columns)


def check_statistics(alpha: float, bootstrap_seed: int) -> None:
    """Refuse a level or a seed that cannot be used.

    Raises:
        BatchlawError: names the argument, its value and the bound.
    """
    if not isinstance(alpha, Real) or not 0 < alpha < 1:
        raise BatchlawError("must lie between 0 and 1", argument="alpha", got=alpha)
    check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)
