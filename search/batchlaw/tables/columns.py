"""What is asked of a table: what its columns mean, which rows count, and which runs diverged."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

from batchlaw.errors import BatchlawError, check_whole
from batchlaw.expressions import Expression

if TYPE_CHECKING:
    from batchlaw.stats.scattered import Factor

EPOCHS = ("last", "best")
# The columns that stand for what no column tells: the same in all runs, for all that is known.
FACTORS: "dict[Factor, str]" = {"lr": "learning rate", "batch_size": "batch size"}
UNTOLD = {factor: f"{name} not told" for factor, name in FACTORS.items()}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean, which rows are kept, and which scores are those of runs that diverged.

    What is None, or an empty `score`, is recognised when the table is read. See `batchlaw.claims.table_claim.claim`.
    """

    lr: str | None  # a column, or an expression over columns
    batch_size: str | None  # likewise
    score: tuple[str, ...]
    seed: str | None
    error: str | None  # the column with the standard error of the score
    n_seeds: str | int | None  # how many seeds a score is the mean of, or the column that says so
    tokens_per_example: str | float | None  # a number or a column; batch sizes are then told in tokens
    by: tuple[str, ...]
    over: tuple[str, ...]  # the first of `by`: factors with which optima may move
    average: tuple[str, ...]
    maximize: bool | None
    where: Expression | None
    missing_diverged: bool
    diverged_above: float | None
    diverged_below: float | None
    diverged_where: Expression | None
    epochs: str  # of several rows of one run the "last" or the "best" counts
    format: str | None  # of the file; None: by its content
    storage: str | None  # of a store such as Optuna's: a database or tracking URI
    tables: tuple[int, ...]  # of a page or workbook, from 1; empty: the one with a rate and a batch size

    @classmethod
    def of(
        cls, *, score: str | Sequence[str] | None = None, lr: str | None = None, batch_size: str | None = None,
        seed: str | None = None, error: str | None = None, seeds: str | int | None = None,
        tokens_per_example: str | float | None = None, by: str | Sequence[str] | None = None,
        over: str | Sequence[str] | None = None, average: str | Sequence[str] | None = None,
        direction: str | None = None, where: str | None = None,
        missing: str = "missing", diverged_above: float | None = None, diverged_below: float | None = None,
        diverged_where: str | None = None, epochs: str = "last", format: str | None = None,
        storage: str | None = None, table: int | str | Sequence[int] | None = None,
    ) -> Self:  # fmt: skip
        """From arguments; several columns are a sequence, or one text with commas.

        Raises:
            BatchlawError: the direction is none, a name is no text, or an expression is wrong.
        """
        for argument, name in {"lr": lr, "batch_size": batch_size, "seed": seed, "error": error}.items():
            if name is not None and not isinstance(name, str):
                raise BatchlawError("must be the name of a column", argument=argument, got=name)
        if direction not in ("maximize", "minimize", None):
            raise BatchlawError("must be maximize or minimize", argument="direction", got=direction)
        if missing not in ("missing", "diverged"):
            raise BatchlawError("must be missing or diverged", argument="missing", got=missing)
        if epochs not in EPOCHS:
            raise BatchlawError(f"must be {' or '.join(EPOCHS)}", argument="epochs", got=epochs)
        for argument, bound in {"diverged_above": diverged_above, "diverged_below": diverged_below}.items():
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, Real) or bound != bound):
                raise BatchlawError("must be a number", argument=argument, got=bound)
        found = cls(
            lr=lr, batch_size=batch_size, score=_names("score", score or ()), seed=seed, error=error,
            n_seeds=_count("seeds", seeds), tokens_per_example=_amount("tokens_per_example", tokens_per_example),
            by=(*_names("over", over or ()), *_names("by", by or ())), over=_names("over", over or ()),
            average=_names("average", average or ()),
            maximize=None if direction is None else direction == "maximize",
            where=None if where is None else Expression.parse(where, "where"),
            missing_diverged=missing == "diverged",
            diverged_above=None if diverged_above is None else float(diverged_above),
            diverged_below=None if diverged_below is None else float(diverged_below),
            diverged_where=None if diverged_where is None else Expression.parse(diverged_where, "diverged_where"),
            epochs=epochs, format=format, storage=storage, tables=_numbers("table", table),
        )  # fmt: skip
        found.check()
        return found

    def check(self) -> None:
        """Refuse a column that is named twice, and a bound of divergence on the side of the best runs.

        Raises:
            BatchlawError: names the argument, its value and what is wrong.
        """
        bounds = {"diverged_above": (False, self.diverged_above), "diverged_below": (True, self.diverged_below)}
        for argument, (maximize, bound) in bounds.items():
            if bound is not None and self.maximize not in (None, maximize):
                other = next(name for name in bounds if name != argument)
                aim = "maximize" if maximize else "minimize"
                raise BatchlawError(
                    f"goes with a score to {aim}",
                    argument=argument,
                    got=int(bound) if bound == int(bound) else bound,
                    remedy=other,
                )
        meant: dict[str, str] = {}
        for argument, names in self.named.items():
            for name in names:
                if name in meant:
                    raise BatchlawError(f"is named by {meant[name]}, too", argument=argument, got=name)
                meant[name] = argument

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that have a meaning, by argument."""
        found: dict[str, str | tuple[str, ...] | None] = {
            "lr": self.lr, "batch_size": self.batch_size, "score": self.score, "seed": self.seed, "error": self.error,
            "seeds": self.n_seeds if isinstance(self.n_seeds, str) else None,
            "tokens_per_example": self.tokens_per_example if isinstance(self.tokens_per_example, str) else None,
            "by": self.by, "average": self.average,
        }  # fmt: skip
        return {argument: (names,) if isinstance(names, str) else names or () for argument, names in found.items()}


@dataclass(frozen=True, kw_only=True)
class KnownColumns(Columns):
    """Columns of which all is known: nothing is left to be recognised. Without a seed column `seed` is None."""

    lr: str
    batch_size: str
    maximize: bool
    recognised: str  # in one line what was not named but recognised; empty where all was named

    @property
    def untold(self) -> "Factor | None":
        """Which of learning rate and batch size no column tells: "lr" or "batch_size"; None where both are told."""
        return next((factor for factor, name in UNTOLD.items() if getattr(self, factor) == name), None)


def _names(argument: str, columns: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        return tuple(name.strip() for name in columns.split(","))
    if not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise BatchlawError("must be the name of a column, or several names", argument=argument, got=columns)
    return tuple(columns)


def _count(argument: str, value: object) -> str | int | None:
    """A number of at least 1, or the name of a column."""
    found = _amount(argument, value)
    if found is None or isinstance(found, str):
        return found
    if found != int(found):
        raise BatchlawError("must be a whole number or the name of a column", argument=argument, got=value)
    return int(found)


def _amount(argument: str, value: object) -> str | float | None:
    """A number above 0, or the name of a column; a text that is a number is one."""
    if value is None:
        return None
    number: float | None = None
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
    elif isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
    if number is None or not 0 < number < float("inf"):
        raise BatchlawError("must be a number above 0 or the name of a column", argument=argument, got=value)
    return number


def _numbers(argument: str, value: object) -> tuple[int, ...]:
    """Whole numbers from 1: one, a sequence, or one text with commas."""
    if value is None:
        return ()
    several = value.split(",") if isinstance(value, str) else value
    parts: list[Any] = list(several) if isinstance(several, Sequence) else [several]
    try:
        found = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        found = (0,)
    if min(found, default=0) < 1:
        raise BatchlawError("must be a number from 1, or several with commas", argument=argument, got=value)
    return found


def check_statistics(alpha: float, bootstrap_seed: int) -> None:
    """Refuse a level or a seed that cannot be used.

    Raises:
        BatchlawError: names the argument, its value and the bound.
    """
    if not isinstance(alpha, Real) or not 0 < alpha < 1:
        raise BatchlawError("must lie between 0 and 1", argument="alpha", got=alpha)
    check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)
