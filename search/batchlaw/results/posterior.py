"""What a model of the whole space expects of each configuration of a search, so that neighbours speak for it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchlaw.recipe.cube import Cube
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import distributions_of
from batchlaw.results.search_run import SearchRun
from batchlaw.spec import StudySpec
from batchlaw.stats.surface import Floats

if TYPE_CHECKING:
    from batchlaw.stats.gaussian_process import Process

FEWEST = 12  # complete trials; with fewer the scores themselves are compared
_MOST = 300  # trials that the process is given: half are the best, half the latest
_FITTED = 100  # of these, trials that its kernel is fitted to
_STEPS = 15  # of the search for its kernel
FLOOR = -0.5  # lowest normal score, so that differences between bad trials are not modelled


@dataclass(frozen=True, eq=False)
class Model:
    """A Gaussian process with a Matérn kernel, fitted to the levelled scores of n trials of a search."""

    cube: Cube
    points: Floats  # (n, n_sides)
    scores: Floats  # (n,) higher is better
    levelled: Floats  # (n,) of mean 0 and deviation 1
    process: "Process"  # of `levelled`
    runs: Sequence[SearchRun]  # of n

    @classmethod
    def of(cls, runs: Sequence[SearchRun], spec: StudySpec, level: Callable[[Floats], Floats]) -> "Model | None":
        """The model of a search; None with too few complete trials.

        Diverged trials count with their untrained score; pruned trials have no score at the end of the budget and do
        not count.

        Args:
            runs: the trials of the search, without further seeds.
            spec: their study.
            level: puts scores (n,) on the scale of the process, (n,); higher is better.
        """
        sign = 1 if spec.direction == "maximize" else -1
        known = [run for run in runs if run.outcome in (Outcome.COMPLETE, Outcome.DIVERGED) and run.value is not None]
        space = {name: of for name, of in distributions_of(spec).items() if not of.single()}
        if not space or sum(run.outcome == Outcome.COMPLETE for run in known) < FEWEST:
            return None
        if len(known) > _MOST:
            best = sorted(known[: -_MOST // 2], key=lambda run: -sign * (run.value or 0.0))[: _MOST // 2]
            known = sorted(best, key=lambda run: run.number) + known[-_MOST // 2 :]
        cube = Cube.of(space)
        absent = cube.configuration(np.array([0.0 if side.categorical else 0.5 for side in cube.sides]))
        points = cube.points(absent | dict(run.params) for run in known)
        scores = np.array([sign * (run.value or 0.0) for run in known])
        raised = level(scores)
        levelled = (raised - raised.mean()) / max(float(raised.std()), 1e-12)
        process = _fitted(cube, points, levelled)
        return cls(cube, points, scores, levelled, process, known)

    @property
    def expected(self) -> Floats:
        """Half the mean of the process at the points, half their levelled scores, (n,)."""
        return np.asarray((self.process.predict(self.points)[0] + self.levelled) / 2)


def expected_first(runs: Sequence[SearchRun], spec: StudySpec) -> list[int] | None:
    """The numbers of complete trials, the highest expected score first, one a configuration; None with too few trials.

    The model is one of ranks. Its mean at a point weighs the score there with those of its neighbours, so that one
    lucky score does not decide. The point's own score counts once more, since the surface has edges that the process
    smooths: with it the race was behind by 0.29 standard errors, without it by 0.38 (tests/benchmarks/racing.py).

    Args:
        runs: the trials of a search, without further seeds.
        spec: their study.
    """
    model = Model.of(runs, spec, _by_rank)
    if model is None:
        return None
    known, means = model.runs, model.expected
    order = sorted(range(len(known)), key=lambda place: (-means[place], known[place].number))
    first: dict[Hashable, int] = {}  # of each configuration, which a discrete space may repeat
    for run in (known[place] for place in order):
        if run.outcome == Outcome.COMPLETE:
            first.setdefault(frozenset(run.params.items()), run.number)
    return list(first.values())


def _by_rank(scores: Floats) -> Floats:
    from batchlaw.stats.gaussian_process import normal_scores

    return np.asarray(np.maximum(normal_scores(scores), FLOOR))


def _fitted(cube: Cube, points: Floats, levelled: Floats) -> "Process":
    """The process given the levelled scores (n,) at points (n, d)."""
    from batchlaw.stats.gaussian_process import Kernel, Prior, Process, matern  # SciPy takes half a second

    d = len(cube.sides)

    def parameters(scale: float, noise: float) -> Floats:
        return np.append(np.full(d, scale), noise)

    # Length scales as in `sampling.per_second`. The noise of a seed is a tenth of the surface's variance, to within a
    # factor of e^1.5: wide, since metrics differ in it (assumption).
    prior = Prior(
        middle=parameters(np.sqrt(2.0) + np.log(d) / 2, np.log(0.1)), deviation=parameters(np.sqrt(3.0), 1.5),
        low=np.log(parameters(0.05, 1e-5)), high=np.log(parameters(30.0, 10.0)),
        start=np.log(parameters(0.5, 0.1)),
    )  # fmt: skip
    ranked = np.argsort(-levelled, kind="stable")
    others = ranked[_FITTED // 2 :]
    fitted = np.concatenate([ranked[: _FITTED // 2], others[:: -(-len(others) // (_FITTED // 2)) or 1]])
    kernel = Kernel.fitted(
        points[fitted], levelled[fitted] - levelled[fitted].mean(), cube.categorical, matern, prior, steps=_STEPS
    )
    return Process.of(kernel, points, levelled)
