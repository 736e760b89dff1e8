"""The column of a table that says how long a run took."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batchlaw.stats.surface import Floats
from batchlaw.tables import names
from batchlaw.tables.columns import KnownColumns
from batchlaw.tables.spelling import by_distinct, number

_UNITS = {
    "seconds": 1.0, "second": 1.0, "secs": 1.0, "sec": 1.0, "s": 1.0, "minutes": 60.0, "minute": 60.0, "mins": 60.0,
    "min": 60.0, "hours": 3600.0, "hour": 3600.0, "hrs": 3600.0, "hr": 3600.0, "h": 3600.0, "ms": 1e-3,
    "milliseconds": 1e-3,
}  # fmt: skip
_TIMES = frozenset({"time", "runtime", "duration", "walltime", "elapsed", "wallclock", "wall", "took"})
_NO_TIME = frozenset({"start", "end", "started", "ended", "stamp", "timestamp", "created", "date", "per", "to", "at"})
_STEPS = frozenset({"steps", "updates", "iterations", "iters"})
_OF_CLOCKS = re.compile(r"(?:(?P<days>\d+)[-d ]\s*)?(?P<h>\d+):(?P<m>\d\d)(?::(?P<s>\d\d(?:\.\d+)?))?")


@dataclass(frozen=True, eq=False)
class Clock:
    """How long the runs of a table took."""

    name: str  # of the column
    unit: str  # "seconds" or "steps"
    values: "pd.Series[float]"  # by the index of the table; NaN where a run does not tell


def clock_of(table: pd.DataFrame, columns: KnownColumns) -> Clock | None:
    """The column of seconds, or else of steps; None where no column tells, or only the score is one.

    Units are read from the name, such as `time (min)` or `train_hours`; `1:02:30` is hours, minutes and seconds.
    """
    known = {name for several in columns.named.values() for name in several}
    free = [str(name) for name in table.columns if str(name) not in known and isinstance(table[name], pd.Series)]
    for unit, factor_of in (("seconds", _seconds), ("steps", _of_steps)):
        for name in free:
            factor = factor_of(name)
            if factor is None:
                continue
            found = factor * np.asarray(by_distinct(table[name], _value, np.nan), dtype=float)
            found = np.where(np.isfinite(found) & (found > 0), found, np.nan)
            if np.isfinite(found).mean() > 0.5:  # of most runs
                return Clock(name, unit, pd.Series(found, index=table.index))
    return None


def _seconds(name: str) -> float | None:
    """Seconds a unit of a column, by its name; None where it tells no time of a run."""
    words = [word.lower() for word in re.findall(r"[^\W_\d]+", name)]  # with those in brackets
    if {*words} & _NO_TIME or names.is_input(name):
        return None
    units = [word for word in words if word in _UNITS]
    if units and (len(words[0]) > 1 or {*words} & _TIMES):
        return _UNITS[units[-1]]
    return 1.0 if {*words} & _TIMES else None


def _of_steps(name: str) -> float | None:
    words = set(names.words_of(name))
    return 1.0 if words & _STEPS and not words & {"warmup", "accumulation", "log", "eval", "save", "per"} else None


def _value(text: str) -> float:
    """The number in a cell, or the seconds of a clock."""
    if clock := _OF_CLOCKS.fullmatch(text):
        hours = 24.0 * float(clock["days"] or 0) + float(clock["h"])
        return hours * 3600 + float(clock["m"]) * 60 + float(clock["s"] or 0)
    value = number(text)
    return np.nan if value is None else value


def median_at(clock: Clock, table: pd.DataFrame, columns: KnownColumns, batch_sizes: Floats) -> Floats:
    """The median over the runs of each batch size, (n_sizes,); NaN where none tells."""
    own = clock.values.reindex(table.index).groupby(table[columns.batch_size].to_numpy(float)).median()
    return np.asarray(own.reindex(batch_sizes).to_numpy(float))
