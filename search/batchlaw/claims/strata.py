"""The parts of a table that are judged one by one, each at the best grade that its evidence allows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.arrangement import NO_SURFACE, Arrangement, Kind
from batchlaw.claims.means import means_of, replicates_of_means
from batchlaw.claims.observed import Observed, observe
from batchlaw.claims.replicates import CopiesError, within_cells
from batchlaw.claims.scattered import RaggedTable, is_replicated, ragged
from batchlaw.claims.selection import of_a_sampler, selection_of
from batchlaw.claims.tables import Group, cells_of, surface_of
from batchlaw.claims.verdict import Grade
from batchlaw.errors import DataError
from batchlaw.stats.fitted_surface import FittedSurface, Lack, fitted_surface
from batchlaw.stats.scattered import Scattered
from batchlaw.stats.surface import Surface
from batchlaw.tables.columns import FACTORS, KnownColumns
from batchlaw.tables.reading import ReadTable
from batchlaw.tables.spelling import typed

ONE_RUN = "one run a cell"
MOST_STRATA = 24  # combinations of other factors that are judged apart (assumption: more are no comparison to read)
_DIGITS = 5  # of scores that do not agree by chance (assumption)
_MOST_RUNS = 400  # that a surface is fitted to: its cost grows with their cube


@dataclass(frozen=True, eq=False)
class Stratum:
    """A part of a table in which, as far as its columns tell, runs differ in rate, batch size and seed alone."""

    levels: Group  # what tells it from the others
    table: pd.DataFrame
    columns: KnownColumns
    surface: Surface | None = None  # with replicates
    smooth: FittedSurface | None = None  # through single runs
    lacks: tuple[str, ...] = ()  # why it has no better grade
    averaged: bool = False  # its rows stand for means of seeds
    selected: bool = False  # its runs were selected by what they brought
    copied: bool = False  # what should be its seeds are copies of one another

    @property
    def grade(self) -> Grade:
        """The best grade that the evidence allows."""
        if self.surface is not None:
            return "replicated"
        return "observed" if self.smooth is None else "fitted"

    @cached_property
    def observed(self) -> Observed:
        """What the runs show without a model."""
        table = means_of(self.table, self.columns.score[0]) if self.averaged else self.table
        return observe(table, ragged(table, self.columns), self.columns)


def strata_of(runs: ReadTable, *, alpha: float = 0.05) -> tuple[list[Stratum], list[str]]:
    """The strata of a table, and sentences on how it was parted.

    A table is parted by its groups (`by`). Rows of one cell that differ in a hyperparameter are no replicates: each of
    its levels is a stratum. Single runs that differ in other factors are one stratum, in which scores are compared
    within the levels of these.

    Args:
        runs: the table, as read.
        alpha: 1 minus the confidence of every interval.
    """
    found: list[Stratum] = []
    notes: list[str] = []
    for group, part in groups_of(runs):
        strata, told = _strata(group, part, runs, alpha)
        found += strata
        notes += told
    return found, list(dict.fromkeys(notes))


def groups_of(runs: ReadTable) -> Iterator[tuple[Group, pd.DataFrame]]:
    """The groups of a table, or the whole under an empty name."""
    by = runs.columns.by
    if not by:
        yield {}, runs.table
        return
    for levels, part in runs.table.groupby(list(by), sort=True):
        yield dict(zip(by, levels, strict=True)), part


def _strata(group: Group, part: pd.DataFrame, runs: ReadTable, alpha: float) -> tuple[list[Stratum], list[str]]:
    columns = runs.columns
    part, copies = _distinct(part, columns)
    plain = Stratum(group, part, columns)
    if (why := selection_of(part, runs.title, columns)) is not None:
        return [replace(plain, lacks=(why,), selected=True)], []
    if not np.isfinite(part[list(columns.score)].to_numpy(float)).any():
        return [replace(plain, lacks=("no score is a finite number",))], []
    if columns.untold:
        return [replace(plain, lacks=(f"no column tells the {FACTORS[columns.untold]}",))], copies
    if (kind := _too_little(ragged(part, columns).runs.told)) is not None:
        return [replace(plain, lacks=(kind.replace("a batch", "at each batch"),))], copies
    if (replicates := replicates_of_means(part, columns)) is not None:
        rows, known, told = replicates
        strata, notes = _of_rows(Stratum(group, rows, known, averaged=True), alpha)
        if any(stratum.grade == "replicated" for stratum in strata):
            return strata, [*copies, *told, *notes]
    strata, notes = _of_rows(plain, alpha)
    return strata, [*copies, *notes]


def _too_little(runs: Scattered) -> Kind | None:
    """How runs lie that no surface can be fitted to, in whatever else they differ; None where one may be."""
    whole = Arrangement(runs).kind
    if whole in NO_SURFACE:
        return whole
    kinds = Counter(Arrangement(runs.at(runs.block == block)).kind for block in np.unique(runs.block))
    return kinds.most_common(1)[0][0] if set(kinds) <= set(NO_SURFACE) and kinds.total() < len(runs.lr) else None


def _distinct(part: pd.DataFrame, columns: KnownColumns) -> tuple[pd.DataFrame, list[str]]:
    """The rows, without those that say the same as another in every column: they are copies and no runs.

    Scores of few digits, such as the accuracy on 100 examples, may well agree, so they are compared only where a seed
    says that it is the same run.
    """
    names = [name for name in dict.fromkeys(part.columns) if not isinstance(part[name], pd.DataFrame)]
    hashable = part[names].astype({name: str for name in names if part[name].dtype == object})
    copied = hashable.duplicated().to_numpy()
    scores = part[list(columns.score)].to_numpy(float)
    if not copied.any() or (columns.seed is None and not _are_fine(scores[np.isfinite(scores)])):
        return part, []
    n = int(copied.sum())
    told = "1 row is a copy of another and is" if n == 1 else f"{n} rows are copies of others and are"
    return part[~copied], [f"{told} left out"]


def _are_fine(scores: np.ndarray) -> bool:
    """Whether scores have so many digits that equal ones are no chance."""
    digits = [len(f"{abs(score):.9g}".replace(".", "").lstrip("0")) for score in scores[:200].tolist()]
    return bool(digits) and float(np.median(digits)) >= _DIGITS


def _of_rows(plain: Stratum, alpha: float) -> tuple[list[Stratum], list[str]]:
    """The strata of rows that are runs."""
    group, part, columns = plain.levels, plain.table, plain.columns
    if not is_replicated(part, columns):
        return _of_single_runs(plain, (ONE_RUN,), alpha)
    settings = tuple(within_cells(part, columns, cells_of(part, columns)).settings)
    if not settings or columns.average:
        tried = Arrangement(ragged(part, columns).runs.told)
        if not tried.has_rows and not columns.average:
            n_all = len(tried.rates) * len(tried.sizes)
            return _of_single_runs(plain, (f"runs in {len(tried.cells)} of {n_all} cells, too few in a row",), alpha)
        return _of_replicates(plain, alpha)
    combinations = part.groupby(list(settings), sort=True, dropna=False)
    named = " and ".join(settings)
    verb = "differs" if len(settings) == 1 else "differ"
    if combinations.ngroups > MOST_STRATA:
        why = f"{named} {verb} within cells, in {combinations.ngroups} combinations, more than {MOST_STRATA}"
        return [replace(plain, lacks=(f"{why}; --where chooses some, --by judges each, --average pools them",))], []
    notes = [
        f"{named} {verb} within cells and {'is' if len(settings) == 1 else 'are'} no seed: each of "
        f"{combinations.ngroups} {'levels' if len(settings) == 1 else 'combinations'} is judged by itself; "
        f"--average {','.join(settings)} pools them"
    ]
    found: list[Stratum] = []
    for levels, own in combinations:
        named_levels = dict(zip(settings, typed_levels(levels), strict=True))
        strata, told = _of_replicates(replace(plain, levels=group | named_levels, table=own), alpha)
        found += strata
        notes += told
    if all(stratum.grade == "observed" for stratum in found):  # together they may carry a surface
        strata, told = _of_single_runs(plain, found[0].lacks[:1], alpha)
        if any(stratum.grade == "fitted" for stratum in strata):
            return strata, told
    return found, notes


def typed_levels(levels: Any) -> list[Any]:
    """The levels of a group as plain numbers and text."""
    return [typed(pd.Series([level]))[0].item() if not isinstance(level, str) else level for level in levels]


def _of_replicates(stratum: Stratum, alpha: float) -> tuple[list[Stratum], list[str]]:
    try:
        surface, notes = surface_of(stratum.table, stratum.columns, "", uneven=True)
    except CopiesError as error:
        return _of_single_runs(replace(stratum, copied=True), (str(error),), alpha)
    except DataError as error:
        return _of_single_runs(stratum, (str(error),), alpha)
    if stratum.columns.seed is None and len(stratum.columns.score) == 1 and not stratum.averaged:
        notes = [*notes, "repeated rows of a cell count as independent runs: no column names their seeds"]
    return [replace(stratum, surface=surface)], notes


def _of_single_runs(stratum: Stratum, lacks: tuple[str, ...], alpha: float) -> tuple[list[Stratum], list[str]]:
    found = ragged(stratum.table, stratum.columns)
    if large := found.large:
        strata = []
        for number in large:
            own = found.runs.block == number
            part = Stratum(stratum.levels | found.blocks[number], stratum.table[own], stratum.columns)
            strata.append(_fitted(part, found.runs.at(own), lacks, alpha))
        return strata, [_parted(found)]
    notes = [_parted(found)] if found.factors else []
    return [_fitted(stratum, found.runs, lacks, alpha)], notes


def _fitted(stratum: Stratum, runs: Scattered, lacks: tuple[str, ...], alpha: float) -> Stratum:
    n, runs = len(runs.lr), _fewer(runs)
    smooth = fitted_surface(_without_copies(runs), alpha=alpha)
    if isinstance(smooth, Lack):
        return replace(stratum, lacks=(*lacks, smooth.reason))
    if len(runs.lr) < n:
        smooth = replace(smooth, doubt=f"{len(runs.lr)} of {n} single runs, drawn at random, have a part in it")
    if stratum.copied:  # what else of it is a copy is not known
        smooth = replace(smooth, doubt="scores that should be those of several seeds are copies of one another")
    elif of_a_sampler(stratum.table) and Arrangement(runs).kind != "grid":
        smooth = replace(smooth, doubt="a sampler chose the runs")
    if smooth.guide is not None and not smooth.has_slope:
        return replace(stratum, lacks=(*lacks, f"a surface through {len(runs.lr)} runs shows no slope"))
    return replace(stratum, smooth=smooth, lacks=lacks)


def smoothed(stratum: Stratum, alpha: float) -> FittedSurface | None:
    """A surface through the runs of a stratum, whether or not it shows a slope; None where they are too few."""
    runs = ragged(stratum.table, stratum.columns).runs
    pooled = stratum.surface is None and len(runs.lr) > _MOST_RUNS  # levels of other factors, too many to judge apart
    if stratum.selected or pooled or _too_little(runs.told) is not None:
        return None
    smooth = fitted_surface(_without_copies(_fewer(runs)), alpha=alpha)
    return None if isinstance(smooth, Lack) else smooth


def _fewer(runs: Scattered) -> Scattered:
    """The runs, or as many as a surface is fitted to, drawn at random."""
    if len(runs.lr) <= _MOST_RUNS:
        return runs
    kept = np.zeros(len(runs.lr), dtype=bool)
    kept[np.random.default_rng(0).choice(len(kept), _MOST_RUNS, replace=False)] = True
    return runs.at(kept)


def _without_copies(runs: Scattered) -> Scattered:
    """The runs, without those that are the same as another in everything: they would count as further evidence."""
    rows = np.stack([runs.lr, runs.batch_size, np.nan_to_num(runs.scores, nan=np.inf), runs.diverged, runs.block])
    first = np.zeros(len(runs.lr), dtype=bool)
    first[np.unique(rows, axis=1, return_index=True)[1]] = True
    return runs.at(first)


def _parted(found: RaggedTable) -> str:
    """What the other factors of single runs do."""
    named = " and ".join(found.factors)
    verb = "differs" if len(found.factors) == 1 else "differ"
    if not found.large:
        return f"{named} {verb}, too: scores are compared within each of {len(found.blocks)} combinations only"
    left = len(found.blocks) - len(found.large)
    told = f"{named} {verb}, too: each of {len(found.large)} combinations is judged by itself"
    return told + (f"; {left} with few runs are left out" if left else "")
