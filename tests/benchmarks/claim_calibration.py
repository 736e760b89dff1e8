"""How often the verdicts on simulated studies are wrong, how often the intervals cover, and what power costs.

    python tests/benchmarks/claim_calibration.py [--studies 500] [--workers 2] [--json FILE]

A planted ridge log₂ B_opt = a + slope × log₂ ε carries curves of a given shape; scores get independent noise in every
run and a common one for every seed. Noise is in units of the fall of the curve two octaves from its best. A verdict is
wrong when it is "supported" at slope 0 or .5, "no relation" at .5 or 1, or "refuted" at 1. Coverage is of the studies
that had a slope at all; width is the median of its interval. A flat and a monotone surface must never give "supported".
"""

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from batchlaw.claims.hypotheses import MARGIN
from batchlaw.claims.verdict import slope_verdict
from batchlaw.stats.collapse import collapse
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.optimum import ridge
from batchlaw.stats.slope import censored_slope, shortfall
from batchlaw.stats.surface import Surface
from rich.console import Console
from rich.progress import track
from rich.table import Table

WRONG = {0.0: {"supported"}, 0.5: {"supported", "no relation"}, 1.0: {"refuted", "no relation"}}


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


def run(case: Case, studies: int) -> dict[str, object]:
    generator = np.random.default_rng([studies, *str(case).encode()])
    verdicts: Counter[str] = Counter()
    covered, widths, flagged = [], [], []
    for number in range(studies):
        surface = simulated(case, generator)
        # What `gather` and `judge` do for H9, without the other direction and the second opinions.
        found = ridge(surface, np.random.default_rng(number))
        if shortfall(found):
            verdicts["inconclusive"] += 1
        else:
            slope = censored_slope(found)
            p = equivalence_p(slope, 1 - MARGIN, 1 + MARGIN)
            verdicts[slope_verdict(slope, 1.0, MARGIN, p, 0.05)[0]] += 1
            covered.append(slope.ci_low <= case.slope <= slope.ci_high)
            widths.append(slope.ci_high - slope.ci_low)
        if case.slope == 1:
            collapsed = collapse(surface)
            flagged.append(collapsed is not None and collapsed.lack_of_fit_p < 0.05)
    ridged = case.shape in ("parabola", "skewed")
    wrong = WRONG[case.slope] if ridged else {"supported"}
    return {
        **asdict(case),
        "wrong": sum(verdicts[verdict] for verdict in wrong) / studies,
        "coverage": float(np.mean(covered)) if covered and ridged else None,
        "with_slope": len(widths) / studies,
        "width": median(widths) if widths else None,
        "power": 1 - verdicts["inconclusive"] / studies,
        "lack_of_fit": float(np.mean(flagged)) if ridged and case.slope == 1 else None,
        "verdicts": dict(verdicts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    grids = [(8, 9)]
    cases = [
        Case(shape, slope, noise, seeds, *grid)
        for shape, slope, noise, seeds, grid in product(
            ("parabola", "skewed"), (0.0, 0.5, 1.0), (0.1, 0.25, 0.75), (5, 10), grids
        )
    ]
    cases += [Case("parabola", slope, 0.25, 5, 6, 10) for slope in (0.0, 0.5, 1.0)]
    cases += [Case("parabola", slope, 0.25, 5, 11, 11) for slope in (0.0, 0.5, 1.0)]
    cases += [Case(shape, 0.0, noise, 5, 8, 9) for shape in ("flat", "monotone") for noise in (0.1, 0.75)]
    with ProcessPoolExecutor(options.workers) as pool:
        futures = [pool.submit(run, case, options.studies) for case in cases]
        rows = [future.result() for future in track(futures, "simulating")]
    grid = Table("shape", "slope", "noise", "seeds", "grid", "wrong", "coverage", "width", "with slope", "power")
    for row in rows:
        grid.add_row(
            str(row["shape"]), f"{row['slope']:g}", f"{row['noise']:g}", str(row["seeds"]),
            f"{row['n_lrs']}×{row['n_batch_sizes']}", f"{row['wrong']:.1%}",
            "" if row["coverage"] is None else f"{row['coverage']:.1%}",
            "" if row["width"] is None else f"{row['width']:.2f}", f"{row['with_slope']:.0%}", f"{row['power']:.0%}",
        )  # fmt: skip
    Console(width=120).print(grid)
    if options.json:
        options.json.write_text(json.dumps({"studies": options.studies, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
