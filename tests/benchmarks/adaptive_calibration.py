"""What an adaptive design of a claim saves, and whether its verdicts stay as right as the factorial's.

    python tests/benchmarks/adaptive_calibration.py [--studies 60] [--runs 150] [--shapes …] [--noises …] [--json FILE]

A planted ridge log₂ B_opt = a + slope × log₂ ε carries curves of a given shape; scores get independent noise in every
run and a common one for every seed. Noise is in units of the fall of the curve two octaves from its best. The surface
is an oracle that scores a run wherever the design asks for one. With a cliff a run is unstable, and has the score of
guessing, below 2.5 octaves under the best. Stacks are chosen as for a budget of epochs, by one worker.

A verdict on H9 is wrong when it is "supported" at slope 0 or .5, "no relation" at .5 or 1, or "refuted" at 1; a flat
and a monotone surface must never give "supported". Coverage is of the studies that had a slope at all; width is the
median of its interval.
"""

import argparse
import json
import platform
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from batchlaw.claims.hypotheses import MARGIN
from batchlaw.claims.verdict import slope_verdict
from batchlaw.sampling.ridge import Design, Tried
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.optimum import Ridge, ridge_of
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats, Surface
from rich.console import Console
from rich.table import Table

WRONG = {0.0: {"supported"}, 0.5: {"supported", "no relation"}, 1.0: {"refuted", "no relation"}}
_CLIFF, _GUESSING = -2.5, -9.0  # octaves from the best; a score three of the noise's units below any stable neighbour


# The score of a run and whether it was unstable, from the indices of its given and tuned level and its seed's number.
Oracle = Callable[[int, int, int], tuple[float, bool]]


@dataclass(frozen=True)
class Case:
    shape: str  # parabola | skewed | wall | flat | monotone
    slope: float
    noise: float
    seeds: int
    n_lrs: int
    n_batch_sizes: int


def simulated(case: Case, generator: np.random.Generator) -> Surface:
    """One study: learning rates and batch sizes in octaves."""
    x, y = np.arange(case.n_lrs) - 8.0, np.arange(case.n_batch_sizes) + 1.0
    off = y[None] - (y.mean() + case.slope * (x - x.mean()) + generator.uniform(-0.5, 0.5))[:, None]
    curve = {
        "parabola": -((off / 2) ** 2),
        # Steeper towards small batches, as a cliff is, and flattening towards large ones.
        "skewed": -(np.where(off < 0, 1.6 * off, off) ** 2) / 4 / (1 + 0.03 * off**2),
        # As of real losses on a log scale: a wall 1.6 octaves below the best, eight times as high as two octaves above.
        "wall": -0.6 * off**2 / (1 + 0.7 * np.maximum(off, 0)) - 8 / (1 + np.exp(np.minimum((1.6 + off) / 0.12, 99))),
        "flat": 0 * off,
        "monotone": -y[None] / 2 + 0 * off,
    }[case.shape]
    shape = (case.n_lrs, case.n_batch_sizes, case.seeds)
    scores = curve[:, :, None] + case.noise * (generator.normal(size=shape) + generator.normal(size=case.seeds))
    return Surface(2.0**x, 2.0**y, scores, np.zeros(shape, dtype=bool))


def planted(case: Case, generator: np.random.Generator) -> Surface:
    """As `simulated`, with a cliff where the shape says so."""
    if case.shape != "cliff":
        return simulated(case, generator)
    curve = simulated(replace(case, shape="parabola", noise=0.0), np.random.default_rng(generator.integers(2**32)))
    noise = simulated(replace(case, shape="flat"), generator)
    peak = curve.scores.argmax(axis=1, keepdims=True)
    below = np.arange(case.n_batch_sizes)[None, :, None] < peak
    unstable = below & (curve.scores < -((_CLIFF / 2) ** 2))
    return replace(curve, scores=np.where(unstable, _GUESSING, curve.scores + noise.scores), unstable=unstable)


def costs_of(sizes: Floats) -> Floats:
    """As the service has them for a budget of epochs: of a stack beside its runs, and of each run."""
    return np.stack([5 / sizes, 1 / sizes + 1 / 20], axis=1)


def adaptive(
    given: Floats, tuned: Floats, oracle: Oracle, generator: np.random.Generator, runs: int
) -> Runs:  # fmt: skip
    """So many runs of a design that asks for one stack after another."""
    design = Design(np.log2(given), np.log2(tuned), costs_of(tuned))
    done: list[tuple[int, int, int, float, bool]] = []
    while len(done) < runs:
        table = np.array(done).reshape(len(done), 5)
        stack = design.look(len(done)) or design.choose(
            Tried(*table[:, :3].astype(int).T, table[:, 3], table[:, 4] > 0), generator, len(given)
        )
        done += [(rate, stack.size, stack.turn, *oracle(rate, stack.size, stack.turn)) for rate in stack.rates]
    rate, size, turn, score, unstable = (np.array(column) for column in zip(*done[:runs], strict=True))
    return Runs(given[rate], tuned[size], turn, score, unstable)


def simulation(case: Case, truth: Surface, generator: np.random.Generator) -> Oracle:
    """A surface with noise of its own in every run, and the same in every run of a seed."""
    common: defaultdict[int, float] = defaultdict(lambda: case.noise * generator.normal())

    def run(given: int, tuned: int, seed: int) -> tuple[float, bool]:
        unstable = bool(truth.unstable[given, tuned, 0])
        noise = 0.0 if unstable else common[seed] + case.noise * generator.normal()
        return float(truth.scores[given, tuned, 0]) + noise, unstable

    return run


def judged(found: Ridge) -> tuple[str, Slope | None]:
    """What `judge` does for H9."""
    if found.slope is None:
        return "inconclusive", None
    p = equivalence_p(found.slope, 1 - MARGIN, 1 + MARGIN)
    return slope_verdict(found.slope, 1.0, MARGIN, p, 0.05)[0], found.slope


def ridge_found(case: Case, runs: int, number: int) -> Ridge:
    """What one study finds."""
    seed = [number, *str(case).encode()]
    truth = planted(replace(case, noise=0.0, seeds=1), np.random.default_rng(seed))
    generator = np.random.default_rng([runs, *seed])
    found = adaptive(truth.given, truth.tuned, simulation(case, truth, generator), generator, runs)
    return ridge_of(Cells.of(found), truth.given, truth.tuned, np.random.default_rng(number))


def run(case: Case, runs: int, studies: int) -> dict[str, object]:
    ridged = case.shape not in ("flat", "monotone")
    ridges = [ridge_found(case, runs, number) for number in range(studies)]
    verdicts = Counter(judged(ridge)[0] for ridge in ridges)
    slopes = [ridge.slope for ridge in ridges if ridge.slope is not None]
    wrong = WRONG[case.slope] if ridged else {"supported"}
    held = [slope.ci_low <= case.slope <= slope.ci_high for slope in slopes]
    return {
        **asdict(case), "runs": runs, "studies": studies,
        "wrong": sum(verdicts[verdict] for verdict in wrong),
        "with_slope": len(slopes),
        "held": sum(held) if ridged else None,
        "coverage": float(np.mean(held)) if slopes and ridged else None,
        "width": median(s.ci_high - s.ci_low for s in slopes) if slopes else None,
        "bounded": sum(slope.bounded for slope in slopes),
        "verdicts": dict(verdicts),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--shapes", nargs="+", default=["parabola", "skewed", "wall", "cliff", "flat", "monotone"])
    parser.add_argument("--slopes", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--noises", type=float, nargs="+", default=[0.25])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, table = [], Table("shape", "slope", "noise", "wrong", "coverage", "width", "with slope", "verdicts")
    for shape, slope, noise in product(options.shapes, options.slopes, options.noises):
        if shape in ("flat", "monotone") and slope != options.slopes[0]:
            continue
        case = Case(shape, slope, noise, seeds=1, n_lrs=8, n_batch_sizes=9)
        rows.append(run(case, options.runs, options.studies))
        print(rows[-1], flush=True)
    for row in rows:
        figures = [
            "" if row[name] is None else format(row[name], kind)
            for name, kind in {"wrong": "d", "coverage": ".1%", "width": ".3f", "with_slope": "d"}.items()
        ]
        facts = [str(row[name]) for name in ("shape", "slope", "noise")]
        table.add_row(*facts, *figures, str(row["verdicts"]))
    Console(width=150).print(table)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version()}
        machine |= {name: version(name) for name in ("numpy", "scipy")}
        record = {"machine": machine, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
