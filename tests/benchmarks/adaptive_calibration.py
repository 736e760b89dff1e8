"""What an adaptive design of a claim saves, and whether its verdicts stay as right as the factorial's.

    python tests/benchmarks/adaptive_calibration.py [--studies 300] [--budgets 120] [--workers 2] [--json FILE]

A planted ridge log₂ B_opt = a + slope × log₂ ε carries curves of a given shape; scores get independent noise in every
run and a common one for every seed. Noise is in units of the fall of the curve two octaves from its best. The surface
is an oracle that scores a run wherever the design asks for one. With a cliff a run is unstable, and has the score of
guessing, below 2.5 octaves under the best. On each surface the factorial runs every cell on five seeds, 360 runs; the
adaptive design as many runs as its budget, a round of all learning rates at a time, as that many workers in parallel
would.

A verdict is wrong when it is "supported" at slope 0 or .5, "no relation" at .5 or 1, or "refuted" at 1; a flat and a
monotone surface must never give "supported". Coverage is of the studies that had a slope at all; width is the median of
its interval. "saving" is the factorial's runs over the adaptive
design's at the same width, by width ∝ 1/√runs from the widths at that budget, in the median; bias is that of the slope.
"""

import argparse
import json
import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
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
from batchlaw.stats.optimum import Ridge, ridge, ridge_of
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats, Surface
from rich.console import Console
from rich.progress import track
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


@dataclass(frozen=True)
class Setting:
    case: Case
    budget: int  # runs
    replicates: int = 1  # seeds a trial


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


def adaptive(
    given: Floats, tuned: Floats, oracle: Oracle, generator: np.random.Generator, *, budget: int, replicates: int = 1
) -> Runs:
    """Runs of a design that asks for one round after another."""
    design, n = Design(np.log2(given), np.log2(tuned)), len(given)
    trials: list[tuple[int, int, int, float, bool]] = []
    runs: list[tuple[float, float, int, float, bool]] = []
    for turn in range(budget // (n * replicates)):
        slots = range(turn * n, turn * n + n)
        levels = [design.look(slot) for slot in slots]
        if None in levels:
            table = np.array(trials)
            posterior = design.posterior(Tried(*table[:, :3].astype(int).T, table[:, 3], table[:, 4] > 0))
            levels = [design.choose(slot, posterior, generator) for slot in slots]
        for row, level in enumerate(levels):
            assert level is not None
            seeds = range(turn * replicates, (turn + 1) * replicates)
            scores, unstable = zip(*(oracle(row, level, seed) for seed in seeds), strict=True)
            trials.append((row, level, turn, float(np.mean(scores)), any(unstable)))
            runs += [(given[row], tuned[level], *each) for each in zip(seeds, scores, unstable, strict=True)]
    columns = [np.array(column) for column in zip(*runs, strict=True)]
    return Runs(*columns)


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


def studies_of(setting: Setting, studies: int) -> Iterator[tuple[tuple[str, Slope | None], tuple[str, Slope | None]]]:
    """The factorial's and the adaptive design's verdict on the same surfaces."""
    case = setting.case
    for number in range(studies):
        seed = [number, *str(case).encode()]
        surface = planted(case, np.random.default_rng(seed))
        truth = planted(replace(case, noise=0.0, seeds=1), np.random.default_rng(seed))  # the same, without noise
        generator = np.random.default_rng([setting.budget, setting.replicates, *seed])
        oracle = simulation(case, truth, generator)
        size = {"budget": setting.budget, "replicates": setting.replicates}
        runs = adaptive(truth.given, truth.tuned, oracle, generator, **size)
        analysis = np.random.default_rng(number)
        yield judged(ridge(surface, analysis)), judged(ridge_of(Cells.of(runs), truth.given, truth.tuned, analysis))


def run(setting: Setting, studies: int) -> dict[str, object]:
    case = setting.case
    ridged = case.shape not in ("flat", "monotone")
    wrong = WRONG[case.slope] if ridged else {"supported"}
    record: dict[str, object] = {**asdict(case), "budget": setting.budget, "replicates": setting.replicates}
    columns = zip(*studies_of(setting, studies), strict=True)
    for name, found in zip(("factorial", "adaptive"), columns, strict=True):
        verdicts = Counter(verdict for verdict, _ in found)
        slopes = [slope for _, slope in found if slope is not None]
        record[name] = {
            "wrong": sum(verdicts[verdict] for verdict in wrong) / studies,
            "coverage": float(np.mean([s.ci_low <= case.slope <= s.ci_high for s in slopes])) if slopes else None,
            "width": median(s.ci_high - s.ci_low for s in slopes) if slopes else None,
            "bias": float(np.mean([s.slope for s in slopes])) - case.slope if slopes and ridged else None,
            "with_slope": len(slopes) / studies,
            "power": 1 - verdicts["inconclusive"] / studies,
            "verdicts": dict(verdicts),
        }
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--budgets", type=int, nargs="+", default=[120])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    grid = (5, 8, 9)  # seeds, learning rates, batch sizes
    settings = [
        Setting(Case(shape, slope, noise, *grid), budget)
        for budget, shape, slope, noise in product(
            sorted(options.budgets, reverse=True), ("parabola", "skewed", "wall"), (0.0, 0.5, 1.0), (0.1, 0.25, 0.75)
        )
    ]
    most = max(options.budgets)
    settings += [Setting(Case("cliff", slope, 0.25, *grid), most) for slope in (0.0, 0.5, 1.0)]
    settings += [
        Setting(Case(shape, 0.0, noise, *grid), most) for shape in ("flat", "monotone") for noise in (0.1, 0.75)
    ]
    # Two seeds a trial, in as few rounds as a study may have.
    settings += [Setting(Case("parabola", slope, 0.25, *grid), 128, 2) for slope in (0.0, 0.5, 1.0)]
    with ProcessPoolExecutor(options.workers) as pool:
        futures = [pool.submit(run, setting, options.studies) for setting in settings]
        rows = [future.result() for future in track(futures, "simulating")]
    table = Table(
        "shape", "slope", "noise", "runs", "seeds", "wrong", "coverage", "bias", "width", "with slope", "power"
    )
    table.add_column("saving")
    for row in rows:
        factorial, own = row["factorial"], row["adaptive"]
        assert isinstance(factorial, dict) and isinstance(own, dict)
        if own["width"] and factorial["width"]:
            all_runs = row["seeds"] * row["n_lrs"] * row["n_batch_sizes"]
            own["saving"] = all_runs / row["budget"] * (factorial["width"] / own["width"]) ** 2
        pairs = {
            name: " / ".join("" if side[name] is None else format(side[name], kind) for side in (factorial, own))
            for name, kind in {
                "wrong": ".1%", "coverage": ".1%", "bias": ".3f", "width": ".3f", "with_slope": ".0%", "power": ".0%"
            }.items()
        }  # fmt: skip
        facts = [str(row[name]) for name in ("shape", "slope", "noise", "budget", "replicates")]
        table.add_row(*facts, *pairs.values(), f"{own['saving']:.1f}" if "saving" in own else "")
    Console(width=150).print("factorial / adaptive", table)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version()}
        machine |= {name: version(name) for name in ("numpy", "scipy")}
        record = {"machine": machine, "studies": options.studies, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
