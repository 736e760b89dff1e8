"""The start of a search from what is known: the best configurations of earlier studies and of tables of runs."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import BatchlawError, DataError, StudyError
from batchlaw.recipe.cube import Cube
from batchlaw.recipe.nearest import nearest_point
from batchlaw.recipe.space import distributions_of, params_of
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.start import Start

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy
    from batchlaw.tables.reading import ReadTable

POINTS, SHARE = 5, 0.1  # configurations that are tried first, and at most this share of the trials (assumption)
APART = 0.3  # the least distance between two of them, in sides of the space (assumption)
BEST = 0.25  # the share of the runs of a source, the best ones, from which they are taken


def warm_start(sources: Sequence[str], spec: StudySpec, storage: str, trials: int | None = None) -> list[Start]:
    """The best configurations of earlier studies and of tables, as the nearest ones of a space, to be tried first.

    Those of several sources come in turn. One that is close to another, better one is left out.

    Args:
        sources: names of studies, or files of runs.
        spec: the study that is to start.
        storage: URL of the database with the studies.
        trials: a budget in place of the spec's.

    Raises:
        BatchlawError: the study is no search, or a source has nothing that the space searches.
        StudyError: the database has no such study, and there is no such file.
        DataError: a file cannot be read as runs.
    """
    if spec.search is None:
        raise BatchlawError("is for a search; a claim runs every cell", argument="warm_start", got=sources[0])
    ranked = [[nearest_point(values, spec) for values in _best_of(source, spec, storage)] for source in sources]
    for source, points in zip(sources, ranked, strict=True):
        if not any(points):
            raise BatchlawError(
                f"has no complete run with any of {', '.join(spec.searched)}", argument="warm_start", got=source
            )
    in_turn = [point for points in zip_longest(*ranked) for point in points if point]
    cube = Cube.of(distributions_of(spec))
    middle = cube.configuration(np.array([0.0 if side.categorical else 0.5 for side in cube.sides]))
    places = spread(
        [middle | params_of(point, spec) for point in in_turn], cube, n_points(trials or spec.search.trials), APART
    )
    return [in_turn[place] for place in places]


def n_points(trials: int | None) -> int:
    """How many configurations a search of so many trials starts with, so that wrong ones cost little.

    Of one that only its seconds bound (None) they are as many as of a long one.
    """
    return POINTS if trials is None else max(1, min(POINTS, int(SHARE * trials)))


def spread(ranked: Sequence[Mapping[str, Any]], cube: Cube, n: int, apart: float) -> list[int]:
    """The places of the first n configurations, each far enough from those before it that it tells something else.

    Args:
        ranked: configurations of the cube, the best first.
        cube: the space.
        n: how many at most.
        apart: what two are further from each other than, with every side of the cube 1 long; categories are √2 apart.
    """
    coordinates = cube.coordinates(cube.points(ranked))
    chosen: list[int] = []
    for place, own in enumerate(coordinates):
        if len(chosen) < n and (np.sqrt(((coordinates[chosen] - own) ** 2).sum(axis=1)) > apart).all():
            chosen.append(place)
    return chosen


def _best_of(source: str, spec: StudySpec, storage: str) -> list[dict[str, Any]]:
    """The configurations of a source, the best first, with `peak_lr` in place of `base_lr`."""
    from batchlaw.storage import load, open_storage

    if Path(source).is_file():
        return _of_table(source, spec)
    try:
        return _of_study(load(open_storage(storage), source))
    except StudyError as error:
        raise StudyError(f"{error}, and no file has this name") from None


def _among(runs: int) -> int:
    """Of how many of the best of so many runs, or configurations, the start is taken."""
    return ceil(BEST * runs)


def _of_study(stored: "StoredStudy") -> list[dict[str, Any]]:
    from batchlaw.recipe.result import ENDED
    from batchlaw.results.records import known_trials
    from batchlaw.results.standings import Standings

    records = known_trials(stored).records
    ended = [record for record in records if record.outcome in ENDED and record.confirms is None]
    order = Standings(stored.spec, records).order[: _among(len(ended))]
    return [
        {knob.name: record.known_config.value_of(knob.name) for knob in KNOBS}
        | record.known_config.parameters
        | {"peak_lr": record.known_config.peak_lr}
        for record in order
    ]


def _of_table(file: str, spec: StudySpec) -> list[dict[str, Any]]:
    """Of a table, whose learning rates are peaks, by the mean over the runs of a configuration."""
    import pandas as pd

    from batchlaw.tables.spelling import typed

    runs = _read(file, spec)
    table, known = runs.table, runs.columns
    columns = {"peak_lr": known.lr, "batch_size": known.batch_size}
    if known.untold is not None:
        del columns["peak_lr" if known.untold == "lr" else "batch_size"]
    names = {knob.name for knob in KNOBS} | spec.parameters.keys()
    others = {_plain(str(name)): name for name in table.columns if name not in (known.lr, known.batch_size)}
    columns = {name: others[name] for name in names & others.keys()} | columns
    rows = pd.DataFrame({name: typed(table[column]) for name, column in columns.items()})
    means = table[list(known.score)].mean(axis=1, skipna=False).set_axis(rows.index).groupby(
        [rows[name] for name in columns], dropna=False
    ).mean()  # fmt: skip
    n = _among(len(means))
    means = means[np.isfinite(means)].sort_values(ascending=not known.maximize, kind="stable")[:n]
    return [
        {name: _told(name, value) for name, value in zip(columns, key, strict=True) if value == value}
        for key in means.index.to_frame().itertuples(index=False, name=None)
    ]


def _read(file: str, spec: StudySpec) -> "ReadTable":
    """The runs of a file, scored by the study's metric where a column has its name, else by what is recognised."""
    from batchlaw.tables.columns import Columns
    from batchlaw.tables.reading import read_runs

    try:
        return read_runs(file, Columns.of(score=spec.arm.metric, direction=spec.direction))
    except DataError as error:
        if error.argument != "score":
            raise
        return read_runs(file, Columns.of())


def _told(name: str, value: Any) -> Any:
    """A cell as the value of a hyperparameter."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain.lower() if name == "optimizer" and isinstance(plain, str) else plain


def _plain(name: str) -> str:
    """The name of a column as a hyperparameter has it: `Weight decay` as `weight_decay`."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
