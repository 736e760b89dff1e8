"""The runs of a table without replicates, as a surface is fitted to them, and what else they differ in."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from batchlaw.claims.confounding import is_outcome
from batchlaw.claims.replicates import is_setting
from batchlaw.errors import BatchlawError
from batchlaw.expressions import Expression
from batchlaw.stats.scattered import SAME_RATE, Scattered, levels
from batchlaw.tables import names
from batchlaw.tables.spelling import typed

if TYPE_CHECKING:
    from batchlaw.tables.columns import KnownColumns

_ROUNDS = 50  # far more than the effects need to settle
_REPEATED = 0.5  # share of the cells with several runs, for replicates
_FEWEST_OF_A_LEVEL = 4  # rows, on average, of a column that parts the runs; one with more levels is an outcome
_FEWEST_OF_A_SETTING = 3  # of one that is called a hyperparameter
_LARGE, _LEVELS = 24, 4  # runs of a block with a surface of its own, and its learning rates and batch sizes
_FULL = 0.5  # share of the cells of its grid that were run
_MOSTLY = 0.7  # share of the runs in large blocks


@dataclass(frozen=True, eq=False)
class RaggedTable:
    """The runs of a table or of a group of it."""

    runs: Scattered
    factors: tuple[str, ...]  # columns in which runs differ beside learning rate and batch size; they make the blocks
    blocks: tuple[dict[str, Any], ...]  # the levels of the factors in each block
    loose: tuple[str, ...] = ()  # hyperparameters that have too many levels for blocks, as where each run drew its own

    @property
    def large(self) -> tuple[int, ...]:
        """The blocks that each have a surface of their own; none where most runs are in small ones."""
        told = self.runs.told
        found = []
        for number in range(len(self.blocks)):
            own = told.at(told.block == number)
            n_lr, n_sizes = (len(np.unique(each)) for each in (own.lr, own.batch_size))
            n_cells = len(np.unique(np.stack([own.lr, own.batch_size]), axis=1).T)
            if n_cells >= max(_LARGE, _FULL * n_lr * n_sizes) and min(n_lr, n_sizes) >= _LEVELS:
                found.append(number)
        mostly = np.isin(told.block, found).mean() >= _MOSTLY if len(told.block) else False
        return tuple(found) if len(self.blocks) > 1 and mostly else ()


def is_replicated(table: pd.DataFrame, columns: "KnownColumns") -> bool:
    """Whether cells have replicates: seeds, several score columns, or in half of the cells repeated rows."""
    if len(columns.score) > 1 or columns.average:
        return True
    found = ragged(table, columns)
    cells = np.stack([found.runs.lr, found.runs.batch_size, found.runs.block], axis=1)
    for name in columns.by:
        cells = np.column_stack([cells, np.unique(typed(table[name]).astype(str), return_inverse=True)[1]])
    counts = pd.DataFrame(cells).value_counts(sort=False)
    return bool((counts > 1).mean() >= _REPEATED)


def ragged(table: pd.DataFrame, columns: "KnownColumns") -> RaggedTable:
    """The runs of a table that was read; a run with an infinite score diverged."""
    lr, sizes = (table[name].to_numpy(float) for name in (columns.lr, columns.batch_size))
    lr = levels(lr, SAME_RATE)
    scores = table[list(columns.score)].mean(axis=1).to_numpy(float)  # infinite where one of them diverged
    factors, loose = _factors(table, columns, lr, sizes)
    block = np.zeros(len(table), dtype=np.intp)
    named: tuple[dict[str, Any], ...] = ({},)
    if factors:
        named_table = pd.DataFrame({name: typed(table[name]) for name in factors})
        block = named_table.groupby(list(factors), sort=True, dropna=False).ngroup().to_numpy(np.intp)
        first = np.unique(block, return_index=True)[1]
        named = tuple(
            {str(name): value for name, value in row.items()} for row in named_table.iloc[first].to_dict("records")
        )
    diverged = np.isinf(scores)
    signed = np.where(diverged, np.nan, scores if columns.maximize else -scores)
    return RaggedTable(Scattered(lr, sizes, signed, diverged, block), factors, named, loose)


def within_blocks(runs: Scattered) -> Scattered | None:
    """The runs with scores from which the mean effect of their block is taken, so that blocks may be compared.

    Example: if all rates were tried with a dropout of 0 and the better ones with 0.5 as well, the plain means of the
    rates would differ by the dropout, too.

    Returns:
        The runs as one block; None where blocks have so few cells in common that their effects are not known.
    """
    used = ~runs.diverged & np.isfinite(runs.scores)
    cell = np.unique(np.stack([runs.lr, runs.batch_size], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    block = np.unique(runs.block, return_inverse=True)[1]
    n_cells, n_blocks = int(cell.max()) + 1, int(block.max()) + 1
    links = coo_array((np.ones(used.sum()), (cell[used], n_cells + block[used])), shape=(n_cells + n_blocks,) * 2)
    _, part = connected_components(links, directed=False)
    if len(np.unique(part[np.concatenate([cell[used], n_cells + block[used]])])) > 1:
        return None
    scores, effect = runs.scores[used], np.zeros(n_blocks)
    per_cell, per_block = np.bincount(cell[used], minlength=n_cells), np.bincount(block[used], minlength=n_blocks)
    for _ in range(_ROUNDS):  # the effects of cells and of blocks in turn, which is least squares
        own = np.bincount(cell[used], scores - effect[block[used]], n_cells) / np.maximum(per_cell, 1)
        effect = np.bincount(block[used], scores - own[cell[used]], n_blocks) / np.maximum(per_block, 1)
    effect -= effect[block[used]].mean()
    return Scattered(runs.lr, runs.batch_size, runs.scores - effect[block], runs.diverged, np.zeros_like(runs.block))


def known_names(columns: "KnownColumns") -> set[str]:
    """The columns that have a meaning already, those in expressions included."""
    known = {name for several in columns.named.values() for name in several}
    for name in (columns.lr, columns.batch_size):
        with suppress(BatchlawError):  # a name that is no expression
            known |= set(Expression.parse(name, "column").columns)
    return known


def _factors(
    table: pd.DataFrame, columns: "KnownColumns", lr: np.ndarray, sizes: np.ndarray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns in which runs differ on purpose, not told by the rate or the batch size: with few levels; and with
    many, which only what is called a hyperparameter may have.
    """
    known = known_names(columns)
    cell = [np.unique(each, return_inverse=True)[1] for each in (lr, sizes)]
    found, loose = [], []
    n_cells = len(np.unique(cell[0] * len(sizes) + cell[1]))
    for name in map(str, table.columns):
        if name in known or isinstance(table[name], pd.DataFrame) or is_outcome(name):
            continue
        values = typed(table[name])
        codes = np.unique(values.astype(str), return_inverse=True)[1]
        n = int(codes.max()) + 1
        # Optimizers that have rates of their own are a factor still; a warmup that is told by the rate is none.
        axes = cell[1:] if values.dtype == object and is_setting(name) else cell
        follows = any(len(np.unique(codes * len(sizes) + each)) == each.max() + 1 for each in axes)
        fewest = _FEWEST_OF_A_SETTING if is_setting(name) else _FEWEST_OF_A_LEVEL
        if names.is_cost(name) and n * _FEWEST_OF_A_LEVEL > n_cells:
            continue  # epochs that a run took, not those that it was given
        if n > 1 and n * fewest <= len(codes) and not follows:
            found.append(name)
        elif n > 1 and not follows and is_setting(name):
            loose.append(name)
    return tuple(found), tuple(loose)
