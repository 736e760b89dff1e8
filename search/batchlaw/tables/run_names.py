"""Hyperparameters that stand in the names of runs, such as `resnet_lr0.1_bs128_seed0`."""

import re

import pandas as pd

from batchlaw.tables import names
from batchlaw.tables.columns import Columns
from batchlaw.tables.spelling import MISSING

_PAIR = re.compile(
    r"(?<![a-z])(?P<key>learning[_-]?rate|batch[_-]?size|[a-z]+)\s*[=_:-]?\s*"
    r"(?P<value>(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?)(?![\d.]*[a-z])",
    re.IGNORECASE,
)
_NEARLY_ALL = 0.95  # of the names have a pair


def with_parts_of_names(table: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, list[str]]:
    """With columns for the rate, the batch size and the seed that only the names of runs tell, and a note on them."""
    headers = list(map(str, table.columns))
    lacking = {
        "lr": columns.lr is None and not any(names.rate_rank(name) or names.base_of_log_rate(name) for name in headers),
        "batch_size": columns.batch_size is None and not any(map(names.batch_rank, headers)),
    }
    if not any(lacking.values()):
        return table, []
    for name in headers:
        if not isinstance(table[name], pd.Series) or pd.api.types.is_numeric_dtype(table[name]):
            continue
        pairs = [_pairs(str(cell)) for cell in table[name]]
        found = {key for each in pairs for key in each}
        found = {key for key in found if sum(key in each for each in pairs) >= _NEARLY_ALL * len(pairs)}
        wanted = [
            key
            for key in sorted(found)
            if (lacking["lr"] and names.rate_rank(key)) or (lacking["batch_size"] and names.batch_rank(key))
        ]
        if not wanted:
            continue
        seeds = [key for key in sorted(found) if names.is_seed(key) and not any(map(names.is_seed, headers))]
        taken = [*wanted, *seeds]
        parts = pd.DataFrame([{key: each.get(key, "") for key in taken} for each in pairs], index=table.index)
        told = f"{' and '.join(taken)} {'is' if len(taken) == 1 else 'are'} read from the column {name!r}"
        return pd.concat([table, parts], axis="columns"), [told]
    return table, []


def _pairs(text: str) -> dict[str, str]:
    """The numbers in a name by the word before each."""
    if text.strip().lower() in MISSING:
        return {}
    return {found["key"].lower().replace("-", "_"): found["value"] for found in _PAIR.finditer(text)}
