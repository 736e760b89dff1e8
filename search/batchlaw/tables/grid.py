"""The grid that was understood: what stands in each cell of rates × batch sizes, for people."""

import numpy as np
import pandas as pd

from batchlaw.tables.reading import ReadTable


def shown_cells(runs: ReadTable) -> pd.DataFrame:
    """A row for each learning rate, a column for each batch size: the mean score and the number of runs in brackets.

    Learning rates that are the same to three digits share a row. A run that diverged or has no score is counted by
    `diverged` or `missing`; a cell without runs is empty.
    """
    columns, table = runs.columns, runs.table
    scores = table[list(columns.score)].to_numpy(float)
    rates = np.array([float(f"{value:.3g}") for value in table[columns.lr]])
    long = pd.DataFrame({
        columns.lr: np.repeat(rates, scores.shape[1]),
        columns.batch_size: np.repeat(table[columns.batch_size].to_numpy(float), scores.shape[1]),
        "score": scores.ravel(),
    })  # fmt: skip
    cells = long.groupby([columns.lr, columns.batch_size])["score"].agg(_told).unstack(fill_value="")
    cells.columns = [f"{size:g}" for size in cells.columns]
    cells.index = pd.Index([f"{rate:g}" for rate in cells.index], name=f"{columns.lr} \\ {columns.batch_size}")
    return cells


def _told(scores: "pd.Series[float]") -> str:
    """Such as "0.912 (5)", or "0.912 (3), 2 diverged"."""
    finite = scores[np.isfinite(scores)]
    parts = [f"{finite.mean():.4g} ({len(finite)})"] if len(finite) else []
    for name, n in (("diverged", int(np.isinf(scores).sum())), ("missing", int(scores.isna().sum()))):
        if n:
            parts.append(f"{n} {name}")
    return ", ".join(parts)
