"""How often the law's intervals cover a planted exponent or critical batch size, and the right curve is found.

    python tests/benchmarks/law_recovery.py [--studies 300] [--workers 2] [--json FILE]

A planted ε_opt(B), a line or a curve that bends, carries parabolas over log₂ ε; scores get independent noise in every
run and a common one for every seed. Noise is in units of the fall of the curve two octaves from its best. Beside the
simulations stand the exponents of published grids (tests/data/hpobench), with the reference figures of their README.
"""

import argparse
import json
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from batchlaw.claims.tables import surfaces
from batchlaw.stats.curves import LINE, MCCANDLISH, SURGE
from batchlaw.stats.law import law_of
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Surface
from batchlaw.tables.columns import Columns
from rich.console import Console
from rich.progress import track
from rich.table import Table

CURVES = {curve.name: curve for curve in (LINE, MCCANDLISH, SURGE)}
GRIDS = Path(__file__).parents[1] / "data" / "hpobench"
# Slopes of the best learning rate on batch size that came with the data: least squares, without intervals.
REFERENCE = {"australian": 0.44, "car": 0.56, "credit_g": 0.60, "kc1": 0.40}


@dataclass(frozen=True)
class Case:
    curve: str
    planted: float  # the slope, or the critical batch size
    noise: float
    seeds: int
    n_batch_sizes: int = 10  # 2, 4, … in octaves
    n_lrs: int = 12


def simulated(case: Case, generator: np.random.Generator) -> Surface:
    """One study: learning rates at each batch size."""
    x, y = np.arange(case.n_batch_sizes) + 1.0, np.arange(case.n_lrs) - 12.0
    curve = CURVES[case.curve]
    second = np.log2(case.planted) if curve.bends else case.planted
    best = curve.shape(np.array([second]), x)[0]
    off = y[None] - (best - best.mean() + y.mean() + generator.uniform(-0.5, 0.5))[:, None]
    shape = (case.n_batch_sizes, case.n_lrs, case.seeds)
    noise = generator.normal(size=shape) + generator.normal(size=case.seeds)
    return Surface(2.0**x, 2.0**y, -((off / 2) ** 2)[:, :, None] + case.noise * noise, np.zeros(shape, dtype=bool))


def run(case: Case, studies: int) -> dict[str, object]:
    generator = np.random.default_rng([studies, *str(case).encode()])
    bends = CURVES[case.curve].bends
    covered, estimates, preferred, closed = [], [], [], []
    for number in range(studies):
        found = ridge(simulated(case, generator), np.random.default_rng(number))
        if found.lack_of_law:
            continue
        law = law_of(found, SURGE if case.curve == "surge" else MCCANDLISH)
        preferred.append(law.fit.curve.name == case.curve)
        if bends:
            bend = law.critical_batch_size
            if bend is None:  # too few identified optima for a curve
                closed.append(False)
                continue
            low, high = bend.ci_low or 0.0, bend.ci_high or np.inf
            closed.append(bend.known)
            estimates.append(bend.value)
        else:
            low, high = law.exponent.ci_low, law.exponent.ci_high
            estimates.append(law.exponent.slope)
        covered.append(low <= case.planted <= high)
    return {
        **asdict(case),
        "with_law": len(preferred) / studies,
        "coverage": float(np.mean(covered)) if covered else None,
        "median": median(estimates) if estimates else None,
        "preferred": float(np.mean(preferred)) if preferred else None,
        "bounded": float(np.mean(closed)) if closed else None,
    }


def published(name: str) -> dict[str, object]:
    """The exponent of a grid: one surface a width and L2 penalty would be noise; they are averaged as the reference."""
    columns = Columns.of(
        lr="learning_rate_init", batch_size="batch_size", score=[f"acc_s{seed}" for seed in range(5)]
    )  # fmt: skip
    table = pd.read_csv(GRIDS / f"{name}.csv.gz")
    means = table.groupby([columns.lr, columns.batch_size])[list(columns.score)].mean().reset_index()
    ((_, surface),), _ = surfaces(means, columns)
    found = ridge(surface.transposed(), np.random.default_rng(0))
    row = {"grid": name, "reference": REFERENCE[name], "identified": int(found.identified.sum())}
    if (lack := found.lack_of_law) is not None:
        return {**row, "lack": lack}
    law = law_of(found, SURGE)
    slope, bend = law.exponent, law.critical_batch_size
    return {
        **row, "slope": slope.slope, "ci_low": slope.ci_low, "ci_high": slope.ci_high,
        "curve": law.fit.curve.name, "errors": law.errors, "bend": bend and asdict(bend),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    truths = [("log-linear", slope) for slope in (0.0, 0.5, 1.0)]
    truths += [(name, critical) for name in ("mccandlish", "surge") for critical in (8.0, 32.0, 128.0)]
    cases = [Case(*truth, noise, seeds) for truth, noise, seeds in product(truths, (0.1, 0.25), (5, 10))]
    with ProcessPoolExecutor(options.workers) as pool:
        futures = [pool.submit(run, case, options.studies) for case in cases]
        rows = [future.result() for future in track(futures, "simulating")]
    console = Console(width=120)
    grid = Table("curve", "planted", "noise", "seeds", "with law", "coverage", "median", "curve found", "bounded")
    for row in rows:
        shares = [row[key] for key in ("with_law", "coverage", "preferred", "bounded")]
        with_law, coverage, preferred, bounded = ("" if share is None else f"{share:.1%}" for share in shares)
        middle = "" if row["median"] is None else f"{row['median']:.3g}"
        grid.add_row(
            str(row["curve"]), f"{row['planted']:g}", f"{row['noise']:g}", str(row["seeds"]), with_law, coverage,
            middle, preferred, bounded,
        )  # fmt: skip
    console.print(grid)
    grids = [published(name) for name in REFERENCE]
    beside = Table("grid", "identified", "exponent", "reference", "curve")
    for row in grids:
        shown = row["lack"] if "lack" in row else f"{row['slope']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        beside.add_row(
            row["grid"],
            str(row["identified"]),
            shown.replace("[", r"\["),
            f"{row['reference']:.2f}",
            row.get("curve", ""),
        )
    console.print(beside)
    if options.json:
        machine = {
            "cpu": platform.processor() or platform.machine(),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        }
        record = {"machine": machine, "studies": options.studies, "rows": rows, "published": grids}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
