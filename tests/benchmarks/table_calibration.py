"""How often what is told of tables misleads: the choices of `recommend`, and how optima move `--over` other columns.

    python -m tests.benchmarks.table_calibration [--studies 40] [--json FILE]

`recommend`: grids of 9 rates × 7 batch sizes, in which the best rate goes as √B and one batch size is the best, of one
seed (with 10 % of the cells missing), 3 and 5 seeds; curves are parabolas or a plain beside a wall of divergence.
`--over`: single runs on a grid of 8 × 7 at each of five horizons, whose best batch size goes as D^0, D^0.5 or D^1 and
whose exponent of ε_opt on B rises by 0 or 0.1 a doubling of D. Counted are the studies in which

- the truly best batch size is among those that "cannot be told from the best";
- the set of the rate at the chosen batch size holds the best rate there;
- the interval of the exponent of H10, or of the trend of H26, holds the planted one;
- the sentence says what would be wrong: growth where there is none, or decrease where there is growth.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from batchlaw.claims.over import moves_over
from batchlaw.errors import DataError
from batchlaw.laws.table_recommendation import recommend
from batchlaw.tables.columns import Columns
from batchlaw.tables.reading import read_runs

RESULTS = Path(__file__).parent / "results" / "table_calibration.json"
NOISE = 0.01


def height(off: np.ndarray, shape: str) -> np.ndarray:
    """Loss above the best rate of a batch size, octaves away from it; infinite where a run diverges."""
    if shape == "parabola":
        return 0.05 * off**2
    return np.where(off > 1.5, np.inf, np.where(off > 0, 0.3 * off**2, 0.03 * off**2))


def runs_of(shape: str, seeds: int, number: int) -> tuple[pd.DataFrame, float, float]:
    """A table, log₂ of its best batch size, and the intercept of the best rate."""
    draw = np.random.default_rng([number, seeds, *shape.encode()])
    best, shift = draw.uniform(4, 8), draw.uniform(-0.5, 0.5)
    x, y, seed = (part.ravel() for part in np.meshgrid(np.arange(-10.0, -1), np.arange(3.0, 10), range(seeds)))
    loss = 1 + height(x - 0.5 * y + 8 + shift, shape) + 0.02 * (y - best) ** 2
    table = pd.DataFrame({"lr": 2**x, "batch_size": 2**y, "loss": loss + draw.normal(0, NOISE, len(x))})
    if seeds > 1:
        return table.assign(seed=seed), best, shift
    return table[draw.random(len(table)) >= 0.1], best, shift


def chosen(shape: str, seeds: int, number: int) -> dict[str, bool | float | None]:
    """Of one study: whether the best batch size is tied, how many are, and whether the set of its rate holds it."""
    table, best, shift = runs_of(shape, seeds, number)
    found = recommend(table)
    tried = np.log2([each.batch_size for each in found.choices if each.batch_size])
    nearest = tried[np.abs(tried - best).argmin()]
    tied = [float(np.log2(each.batch_size)) for each in found.choices if each.tied and each.batch_size]
    rate, one = 0.5 * float(np.log2(found.chosen.batch_size or 1)) - 8 - shift, found.chosen
    low, high = (None if end is None else float(np.log2(end)) for end in (one.low, one.high))
    known = low is not None and high is not None
    return {
        "tied": bool(np.isclose(tied, nearest).any()) if tied else None,
        "n_tied": len(tied) or None,
        "rate": (low or 0) - 1e-6 <= rate <= (high or 0) + 1e-6 if known else None,
        "width": high - low if known and high is not None and low is not None else None,
    }


def moved(exponent: float, rise: float, number: int) -> dict[str, bool | None]:
    """Of one study over horizons: whether intervals hold what was planted, and whether a sentence would be wrong."""
    draw = np.random.default_rng([number, round(10 * exponent), round(10 * rise)])
    rows = []
    for octave in (0.0, 1.0, 2.0, 3.0, 4.0):
        for x, y in product(np.arange(-11.0, -3), np.arange(3.0, 10)):
            off = x - (0.2 + rise * octave) * (y - 6) + 7.5
            loss = (
                1
                + height(np.array(off), "wall" if number % 2 else "parabola")
                + 0.02 * (y - 6 - exponent * (octave - 2)) ** 2
            )
            rows.append((2**octave, 2**x, 2**y, float(loss) + draw.normal(0, NOISE / 3)))
    table = pd.DataFrame(rows, columns=["D", "lr", "batch_size", "loss"])
    try:
        found, _ = moves_over(read_runs(table, Columns.of(over="D")), ["D"], 0.05)
    except DataError:
        return {"H10": None, "H10 wrong": None, "H26": None, "H26 wrong": None}
    grown = found.of_batch_size(0) if found.batch_size is not None else None
    bend = found.bends[0] if found.bends else None

    def held(slope: object, truth: float) -> tuple[bool | None, bool | None]:
        if slope is None:
            return None, None
        low, high = slope.ci_low, slope.ci_high  # type: ignore[attr-defined]
        return low <= truth <= high, (low > 0 and truth <= 0) or (high < 0 <= truth)

    of_h10, of_h26 = held(grown, exponent), held(bend, rise)
    return {"H10": of_h10[0], "H10 wrong": of_h10[1], "H26": of_h26[0], "H26 wrong": of_h26[1]}


def shares(rows: list[dict[str, bool | float | None]]) -> dict[str, float | int]:
    """The mean of each entry over the studies that have it, and how many these are."""
    told: dict[str, float | int] = {}
    for name in rows[0]:
        known = [float(row[name]) for row in rows if row[name] is not None]  # type: ignore[arg-type]
        told |= {name: round(float(np.mean(known)), 3) if known else float("nan"), f"{name}: studies": len(known)}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40, help="of each setting")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    began, found, numbers = time.process_time(), {}, range(options.studies)
    settings: dict[str, Callable[[int], dict[str, bool | float | None]]] = {
        f"over D, best batch size as D^{exponent:g}, exponent rises by {rise:g}": partial(moved, exponent, rise)
        for exponent, rise in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.1))
    }
    for shape, seeds in product(("parabola", "wall"), (1, 3, 5)):
        settings[f"recommend, {shape}, {seeds} seeds"] = partial(chosen, shape, seeds)
    for name, judged in settings.items():
        found[name] = shares([judged(number) for number in numbers])
        print(name, found[name], flush=True)
        told = {"studies": options.studies, "seconds": round(time.process_time() - began, 1), "settings": found}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
