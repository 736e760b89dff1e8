"""What a staggered grid buys: plain and staggered studies with the same curves, seeds and number of runs, side by side.

    python tests/benchmarks/staggered_grid.py [--studies 100] [--workers 2] [--json FILE]

A staggered grid moves the batch sizes of successive learning rates by 0, ⅓ and ⅔ of an octave. Shapes, noise and seeds
are those of simulated_claims.py; eight learning rates, nine batch sizes, five seeds.

- slope: median width of its interval, and the share that contains the planted slope.
- levels: median width of closed sets in octaves, the share that contains the best batch size, and the share of closed.
- decided: studies whose slope lies inside or outside [.75, 1.25].
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import simulated_claims
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Floats, Surface
from rich.console import Console
from rich.table import Table

SHAPES = (simulated_claims.wall, simulated_claims.log_cosh, simulated_claims.parabola, simulated_claims.quadratic)
SLOPES = (0.0, 1 / 3, 0.5, 0.7, 1.0)
RATES, BATCH_SIZES, SEEDS, NOISE = 8, 9, 5, 0.25
SEARCHED = np.arange(-4.0, 4.0, 0.005)  # octaves from the line: where the best batch size is sought


def simulated(shape: int, slope: float, staggered: bool, number: int) -> tuple[Surface, Floats]:
    """A study, and log₂ of the best batch size at each rate; plain and staggered ones have the same curve and phase."""
    generator = np.random.default_rng([shape, round(100 * slope), number])
    curve = SHAPES[shape](generator)
    x = np.arange(RATES) - 8.0
    line = 1 + (BATCH_SIZES - 1) / 2 + generator.uniform(-0.5, 0.5) + slope * (x - x.mean())
    shift = (np.arange(RATES) % 3 - 1) / 3 if staggered else np.zeros(RATES)
    places = (1 + np.arange(BATCH_SIZES) + shift[:, None]).round(9)
    union = np.unique(places)
    scores = np.full((RATES, len(union), SEEDS), np.nan)
    noise = generator.normal(size=(RATES, BATCH_SIZES, SEEDS)) + generator.normal(size=SEEDS)
    best = np.empty(RATES)
    for row, place in enumerate(np.arange(RATES) / (RATES - 1)):
        heights = curve(places[row] - line[row], np.array(place))
        scores[row, np.searchsorted(union, places[row])] = NOISE * noise[row] - heights[:, None]
        best[row] = line[row] + SEARCHED[curve(SEARCHED, np.array(place)).argmin()]
    return Surface(2.0**x, 2.0**union, scores, np.zeros(scores.shape, dtype=bool)), best


def run(shape: int, slope: float, staggered: bool, studies: int) -> dict[str, Any]:
    widths, covered, level_widths, levels_covered, closed, decided = [], [], [], [], [], 0
    for number in range(studies):
        surface, best = simulated(shape, slope, staggered, number)
        found = ridge(surface, np.random.default_rng(0))
        known = found.identified
        closed.append(float(known.mean()))
        level_widths += (found.high - found.low)[known].tolist()
        levels_covered += ((found.low <= best + 0.01) & (best <= found.high + 0.01))[known].tolist()
        if found.slope is not None:
            low, high = found.slope.ci_low, found.slope.ci_high
            widths.append(high - low)
            covered.append(low <= slope <= high)
            decided += (low >= 0.75 and high <= 1.25) or high < 0.75 or low > 1.25
    return {
        "shape": SHAPES[shape].__name__, "slope": round(slope, 3), "staggered": staggered, "studies": studies,
        "width": median(widths) if widths else None, "covered": mean(covered) if covered else None,
        "level_width": median(level_widths) if level_widths else None,
        "levels_covered": mean(levels_covered) if levels_covered else None, "closed": mean(closed),
        "decided": decided / studies,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases = list(product(range(len(SHAPES)), SLOPES, (False, True)))
    with ProcessPoolExecutor(options.workers) as pool:
        rows = list(pool.map(run, *zip(*cases, strict=True), [options.studies] * len(cases)))
    table = Table("shape", "slope", "grid", "width", "covered", "levels", "covered", "closed", "decided")
    for row in rows:
        numbers = [row[name] for name in ("width", "covered", "level_width", "levels_covered", "closed", "decided")]
        shown = ["" if number is None else f"{number:.2f}" for number in numbers]
        table.add_row(row["shape"], f"{row['slope']:g}", "staggered" if row["staggered"] else "plain", *shown)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
