"""Whether the rows of a table look selected by their outcome, so that they may never be read as a grid."""

import re

import numpy as np
import pandas as pd

from batchlaw.tables.columns import KnownColumns
from batchlaw.tables.spelling import number

# Words for an event that some runs have and others have not (assumption, a list of the field's words).
_EVENT = r"spike|blow[\s_-]?up|explo(?:ded|sion)|anomal(?:y|ies)|outlier|crash(?:es|ed)?|failure|instabilit(?:y|ies)"
_OF_COLUMNS = re.compile(rf"(^|[\s_./-])({_EVENT})s?([\s_./-]|$)", re.IGNORECASE)
_OF_TITLES = re.compile(
    r"(^|[\s_./-])(spike|leaderboard|top[\s_-]?\d+|best[\s_-](?:runs|of|trials|configs)|outlier|anomalie)s?([\s_./-]|$)",
    re.IGNORECASE,
)
_RANK = re.compile(r"^(rank|place|position|#)$", re.IGNORECASE)
# Of drawn rates (assumptions): nobody writes down so many, and their steps vary as much as they are long.
_DRAWN, _FEWEST_DRAWN, _FEWEST_DIGITS, _FEWEST_OF_A_SIZE, _IRREGULAR, _HALFWAY = 0.8, 8, 3, 4, 0.45, 0.1
_NEVER = "what was left out is not known, so they are never read as a grid"


def selection_of(table: pd.DataFrame, title: str, columns: KnownColumns) -> str | None:
    """Why the rows look selected, as a sentence; None where nothing shows it.

    Example: a table with the columns `batch, LR, seed, spike step, ratio` and a value in every row lists the runs that
    had a spike. A column that says of some runs that they had none is no selection.
    """
    known = {name for several in columns.named.values() for name in several}
    for name in map(str, table.columns):
        if name in known or isinstance(table[name], pd.DataFrame):
            continue
        if (found := _OF_COLUMNS.search(name)) and _always(table[name]):
            return f"every row has a value in {name!r}: the runs look selected by that {found[2].lower()}; {_NEVER}"
        if _RANK.match(name) and len(table) > 1 and _is_rank(table, name, columns):
            return f"the rows are ranked by {name!r}: they may be the best of many runs; {_NEVER}"
    if found := _OF_TITLES.search(re.sub(r"\.[a-z.]+$", "", title)):
        return f"the name {title!r} says {found[2]!r}: the runs look selected by that; {_NEVER}"
    return None


def _always(column: "pd.Series[object]") -> bool:
    """Whether each row has the event: a number other than 0, or true."""
    for cell in column.drop_duplicates():
        text = str(cell).strip().strip("*").lower()
        if text in ("", "no", "false", "none", "nan", "na", "n/a", "-", "–", "—") or number(text) == 0:
            return False
    return True


def _is_rank(table: pd.DataFrame, name: str, columns: KnownColumns) -> bool:
    """Whether a column numbers the rows from 1 in the order of their scores."""
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    scores = table[columns.score[0]].to_numpy(float)
    if not (np.isfinite(values).all() and np.isfinite(scores).all()) or len(np.unique(scores)) < len(scores) / 2:
        return False
    in_order = np.diff(scores[np.argsort(values)])
    return bool((np.sort(values) == np.arange(1, len(values) + 1)).all()) and bool(
        (in_order <= 0).all() if columns.maximize else (in_order >= 0).all()
    )


def is_sampled(table: pd.DataFrame, columns: KnownColumns) -> bool:
    """Whether a sampler chose the runs: nearly every one has a learning rate of its own, of many digits and of no step.

    People who give each batch size its own rates, as by a rule, keep the ratio of neighbouring rates, or round them.
    """
    rates, sizes = (table[name].to_numpy(float) for name in (columns.lr, columns.batch_size))
    if len(np.unique(rates)) < max(_FEWEST_DRAWN, _DRAWN * len(rates)):
        return False
    if np.median([len(f"{rate:.5e}".split("e")[0].rstrip("0").replace(".", "")) for rate in rates]) < _FEWEST_DIGITS:
        return False
    levels = [np.unique(rates[sizes == size]) for size in np.unique(sizes)]
    levels = [own for own in levels if len(own) >= _FEWEST_OF_A_SIZE] or [np.unique(rates)]
    return sum(map(_is_irregular, levels)) > len(levels) / 2


def _is_irregular(rates: np.ndarray) -> bool:
    """Whether the steps between rates differ, and not only because some are left out: then all are whole steps."""
    steps = np.diff(np.log(rates))
    whole = steps / steps.min()
    return bool(steps.std() / steps.mean() >= _IRREGULAR and np.abs(whole - whole.round()).max() > _HALFWAY)


def of_a_sampler(table: pd.DataFrame) -> bool:
    """Whether columns say that a search chose the runs, as Optuna's `params_lr` beside `number` or `state`."""
    called = [str(name).lower() for name in table.columns]
    return any(name.startswith("params_") for name in called) and bool({"number", "state", "trial"} & {*called})
