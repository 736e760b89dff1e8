"""Which columns of a table are the learning rate, the batch size, the score and the seed, where nobody named them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from batchlaw.errors import BatchlawError, DataError
from batchlaw.tables import names
from batchlaw.tables.columns import UNTOLD, Columns, KnownColumns
from batchlaw.tables.spelling import amount, number

_MOST_NAMED = 8  # columns that a question lists
_MOST_LOOKED_AT = 1000  # distinct cells of a column
_FEWEST_OF_A_COURSE, _FEWEST_ROWS, _NEARLY_ALL = 3, 6, 0.9  # columns, rows, and share of these (assumptions)
_NAMES = {"lr": "learning rate", "batch_size": "batch size", "score": "score", "seed": "seed"}


def known_columns(table: pd.DataFrame, title: str, asked: Columns, better: tuple[bool, str] | None) -> KnownColumns:
    """The columns of a table, as named, else as recognised by their names.

    Args:
        table: all its rows, as text or numbers.
        title: of the table.
        asked: what is asked for.
        better: whether larger scores are better and where that is said, where the page of the table tells.

    Raises:
        DataError: there is no column for what is needed, or several that fit as well; the line names them.
        BatchlawError: the direction is not told; or a bound of divergence does not go with it.
    """
    taken = {name for argument, several in asked.named.items() for name in several}
    candidates = _Candidates(table, title, taken)
    told: list[str] = []

    def said(argument: str, name: str, more: str = "") -> str:
        told.append(f"{_NAMES[argument]} is {name}{more}")
        taken.add(name)
        return name

    lr, batch_size, logs = asked.lr, asked.batch_size, names.base_of_log_rate
    if lr is None and (power := candidates.power("lr", names.rate_rank)):
        lr = power
        told.append(f"learning rate is {power}")
    if batch_size is None and (power := candidates.power("batch_size", names.batch_rank)):
        batch_size = power
        told.append(f"batch size is {power}")
    if lr is None and (batch_size or candidates.any(names.batch_rank)) and not candidates.any(names.rate_rank, logs):
        lr = UNTOLD["lr"]
        told.append("no column is called a learning rate (--lr names one, or a number that all runs had)")
    if lr is None:
        lr = candidates.ranked("lr", names.rate_rank)
        said("lr", lr)
    if batch_size is None and lr != UNTOLD["lr"] and not candidates.any(names.batch_rank):
        batch_size = UNTOLD["batch_size"]
        told.append("no column is called a batch size (--batch-size names one, or a number that all runs had)")
    elif batch_size is None:
        batch_size = candidates.ranked("batch_size", names.batch_rank)
        parts = candidates.batches() if names.is_per_device(batch_size) else []
        per_device = " (of one device; an expression such as 'per_device * devices' tells the whole batch)"
        said(
            "batch_size",
            " × ".join([batch_size, *parts]),
            per_device if names.is_per_device(batch_size) and not parts else "",
        )
        if parts:
            batch_size = " * ".join(f"`{name}`" for name in (batch_size, *parts))
    if asked.lr is None and "base" in names.words_of(lr) and (lr + batch_size).isidentifier():
        power = f"{lr} * sqrt({batch_size} / 128)"
        told.append(f"{lr} may be scaled by a rule before it is used: then --lr '{power}' or the like")
    score, others = (asked.score, ()) if asked.score else candidates.scores()
    maximize = asked.maximize
    if maximize is None:
        maximize, source = _direction(score, asked, better)
        which = f"{'larger' if maximize else 'smaller'} is better{source}"
        if asked.score:
            told.append(f"of {score[0]} {which}")
        else:
            beside = f"; also there: {', '.join(others)}" if others else ""
            said("score", _several(score), f" ({which}{beside})")
    elif not asked.score:
        said("score", _several(score), f" (also there: {', '.join(others)})" if others else "")
    taken.update(score)
    seed = asked.seed
    if seed is None and len(score) == 1 and (found := candidates.seed(asked.n_seeds)):
        shared = " (folds share training data: independent runs differ more)" if names.is_fold(found) else ""
        seed = said("seed", found, shared)
    error = asked.error
    if error is None and len(score) == 1 and (found := candidates.error()):
        error = found
        told.append(f"its standard error is {error}")
    values = {field.name: getattr(asked, field.name) for field in fields(asked)}
    known = KnownColumns(
        **values | {
            "lr": lr, "batch_size": batch_size, "score": score, "maximize": maximize, "seed": seed, "error": error,
            "recognised": ", ".join(told),
        }
    )  # fmt: skip
    known.check()
    return known


def _several(score: Sequence[str]) -> str:
    return score[0] if len(score) == 1 else f"{score[0]} … {score[-1]} of {len(score)} seeds"


def _direction(score: Sequence[str], asked: Columns, better: tuple[bool, str] | None) -> tuple[bool, str]:
    """Whether larger is better, and where that is said if not by the name.

    Raises:
        BatchlawError: nothing tells.
    """
    for name in score:
        metric = names.metric_of(name)
        if metric is not None and metric.better is not None:
            return metric.better == "larger", ""
    if all(map(names.is_cost, score)):
        return False, ""
    if asked.diverged_above is not None or asked.diverged_below is not None:
        return asked.diverged_below is not None, ""
    if better is not None:
        return better[0], f", by {better[1]}"
    raise BatchlawError(
        f"is needed, minimize or maximize: the name {score[0]!r} does not tell which is better", argument="direction"
    )


def _last_of_numbered(found: Sequence[str]) -> str | None:
    """Of scores whose names differ by a number at their end, as of epochs, the one with the largest; else None."""
    numbers = [names.trailing_number(name) for name in found]
    if None in numbers or len({re.sub(r"\d+[kKM]?$", "", name.strip()) for name in found}) > 1:
        return None
    return max(zip(found, numbers, strict=True), key=lambda pair: pair[1] or 0.0)[0]


class _Candidates:
    """The columns that are not taken yet."""

    def __init__(self, table: pd.DataFrame, title: str, taken: set[str]) -> None:
        self._table, self._title, self._taken = table, title, taken
        self._distinct: dict[tuple[str, object], int | None] = {}

    @property
    def _free(self) -> list[str]:
        return [str(name) for name in dict.fromkeys(self._table.columns) if name not in self._taken]

    def _levels(self, name: str, of: Callable[[str], float | None] = number) -> int | None:
        """How many numbers are among the first thousand distinct cells of a column.

        None where it stands twice, or most of them are something else.
        """
        if (name, of) not in self._distinct:
            column, found = self._table[name], None
            if isinstance(column, pd.Series):
                known = column.drop_duplicates().head(_MOST_LOOKED_AT)
                values = [of(str(cell).strip()) for cell in known if not pd.isna(cell)]
                read = {value for value in values if value is not None and value == value}
                found = len(read) if len(read) > len([value for value in values if value is None]) else None
            self._distinct[name, of] = found
        return self._distinct[name, of]

    def ranked(self, argument: str, rank: Callable[[str], tuple[int, ...] | None]) -> str:
        """The column that fits best by its name; one that varies is preferred to one that does not, and that to text.

        Raises:
            DataError: none does, or two do equally.
        """
        found = sorted(
            (0 if levels > 1 else 1 if levels or self._is_twice(name) else 2, how, name)
            for name in self._free
            if (how := rank(name)) is not None and (levels := self._levels(name, amount) or 0) is not None
        )
        if not found:
            raise self._none(argument)
        best = [name for kind, how, name in found if (kind, how) == found[0][:2]]
        if len(best) > 1:
            raise self._several(argument, best)
        return best[0]

    def any(self, *ranks: Callable[[str], object]) -> bool:
        """Whether a column fits by its name."""
        return any(rank(name) is not None for name in self._free for rank in ranks)

    def power(self, argument: str, rank: Callable[[str], object]) -> str | None:
        """The expression for the only column of a logarithm with its base, as `10 ** log10_lr`, where no other fits."""
        logs = {name: base for name in self._free if (base := names.base_of_log(name, rank)) and names.tells_base(name)}
        if len(logs) != 1 or self.any(rank):
            return None
        ((name, base),) = logs.items()
        self._taken.add(name)
        return f"{base} ** `{name}`" if not name.isidentifier() else f"{base} ** {name}"

    def batches(self) -> list[str]:
        """The columns that say how many batches, of devices or of steps that are accumulated, make the whole."""
        return [name for name in self._free if names.is_number_of_batches(name) and self._levels(name)]

    def _is_twice(self, name: str) -> bool:
        return isinstance(self._table[name], pd.DataFrame)  # refused later, with its name

    def scores(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The column of the score, or the columns of one metric for several seeds; and other metrics that are there.

        Raises:
            DataError: no column is a score, or several are that nothing tells apart.
        """
        free = [name for name in self._free if self._levels(name) or self._is_twice(name)]
        varied = [name for name in free if (self._levels(name) or 2) > 1]
        found = self._ranked_scores(varied) or self._ranked_scores(free)
        if not found:
            raise self._without_numbers() or self._none("score")
        best = [several for rank, several in found if rank == found[0][0]]
        best = [several for several in best if len(several) > 1] or best  # the seeds rather than their mean
        if len(best) > 1 and (last := _last_of_numbered([several[0] for several in best])):
            best = [(last,)]
        if len(best) > 1:
            raise self._several("score", [several[0] for several in best])
        return best[0], tuple(several[0] for rank, several in found if several != best[0])[:_MOST_NAMED]

    def _ranked_scores(self, free: list[str]) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
        """Scores, best first: metrics, else seeds by number, else results of no kind, else what reached a target."""
        of_seeds = names.seeds_of_one(free)
        single = [
            several
            for several in of_seeds.values()
            if names.metric_of(several[0]) and not (names.numbered_only(several) and self._go_one_way(several))
        ]
        grouped = {name for several in single for name in several}
        alone = [(name,) for name in free if name not in grouped]
        found = [(metric.rank, several) for several in [*alone, *single] if (metric := names.metric_of(several[0]))]
        if found:
            return sorted(found)
        choices: tuple[list[tuple[str, ...]], ...] = (
            [several for stem, several in of_seeds.items() if names.is_seed_number(stem)],
            [(name,) for name in free if names.is_untold(name) and not names.is_seed(name)],
            [(name,) for name in free if names.is_cost(name) and any(map(names.is_target, self._free))],
        )
        return [((0,), several) for several in next(filter(None, choices), [])]

    def _go_one_way(self, several: Sequence[str]) -> bool:
        """Whether scores rise from column to column in nearly all rows, or fall: those of epochs do, seeds do not."""
        columns = sorted(several, key=lambda name: names.trailing_number(name) or 0.0)
        if len(columns) < _FEWEST_OF_A_COURSE or any(map(self._is_twice, columns)):
            return False
        rows = self._table[columns].head(_MOST_LOOKED_AT)
        values = rows.map(lambda cell: number(str(cell))).apply(pd.to_numeric, errors="coerce").dropna().to_numpy(float)
        steps = np.diff(values[np.isfinite(values).all(axis=1)], axis=1)
        if len(steps) < _FEWEST_ROWS:
            return False
        return max(float((steps > 0).all(axis=1).mean()), float((steps < 0).all(axis=1).mean())) >= _NEARLY_ALL

    def seed(self, n_seeds: object) -> str | None:
        """The column that says that it is the seed, or else the fold; None where none does, or it does not vary."""
        seeds, folds = (
            [name for name in self._free if is_one(name) and self._varies(name)]
            for is_one in (names.is_seed, names.is_fold)
        )
        found = seeds or folds
        found.sort(key=lambda name: len(names.words_of(name)))
        return found[0] if found and n_seeds is None else None

    def _varies(self, name: str) -> bool:
        return self._is_twice(name) or self._table[name].nunique() > 1

    def error(self) -> str | None:
        """The only column that says that it is a standard error."""
        found = [name for name in self._free if names.is_error(name) and self._levels(name)]
        return found[0] if len(found) == 1 else None

    def _without_numbers(self) -> DataError | None:
        """That the columns that are called a score hold none, with what the first of them holds."""
        for name in self._free:
            if names.metric_of(name) is None or self._is_twice(name):
                continue
            texts = [str(cell).strip() for cell in self._table[name].drop_duplicates() if not pd.isna(cell)]
            wrong = next((text for text in texts if number(text) is None), None)
            holds = "no cell holds a score" if wrong is None else f"it holds {wrong!r}, not a number"
            return DataError(f"column {name!r} of {self._title}: {holds}", argument="score")
        return None

    def _none(self, argument: str) -> DataError:
        shown = [str(name) for name in self._table.columns]
        more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
        what = f"{self._title} has no column that is called a {_NAMES[argument]}"
        hint = ""
        if argument == "lr":
            hint = "; a number, such as 0.001, says that all runs had it"
            for name in shown:
                if base := names.base_of_log_rate(name):
                    hint = f"; '{base} ** {name}', if that is its logarithm"
        return DataError(f"{what}; it has {', '.join(shown[:_MOST_NAMED])}{more}{hint}", argument=argument)

    def _several(self, argument: str, found: Sequence[str]) -> DataError:
        what = f"{self._title} has several columns that may be the {_NAMES[argument]}"
        return DataError(f"{what}: {', '.join(found)}", argument=argument)
