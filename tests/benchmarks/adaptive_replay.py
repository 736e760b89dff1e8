"""What an adaptive design finds on real runs, replayed from a table of them again and again, beside the factorial.

    python tests/benchmarks/adaptive_replay.py [--tables momentum] [--studies 60] [--json FILE]

A table (tests/data/digits) has the validation loss of every learning rate and batch size on the same seeds. In each
study the adaptive design asks it for one stack after another: the seed of a turn is drawn from the table's, each once
before any is drawn again; the runs are judged after each of several budgets. The factorial is every cell on as many
seeds, drawn as well. The truth is its slope on all seeds of the table, itself an estimate. A slope that is only bounded
by the sets of optima is none that an interval could hold: of such a table there is no coverage.

Coverage and width are as in adaptive_calibration.py, here of one surface. "equal" is the runs that the
factorial takes for the same width: between budgets log width goes straight with log runs.
"""

import argparse
import json
import platform
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from adaptive_calibration import adaptive, judged
from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.optimum import ridge, ridge_of
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Surface
from rich.console import Console
from rich.progress import track
from rich.table import Table

TABLES = Path(__file__).parents[1] / "data" / "digits"
SEEDS = (3, 5, 8)  # of a cell, of the factorial
RUNS = (90, 126, 180)  # of the adaptive design
Judged = tuple[str, Slope | None]


def read_table(name: str) -> Surface:
    """Scores are losses with their sign changed."""
    with np.load(TABLES / f"{name}.npz") as table:
        return Surface(table["lr"], table["batch_size"].astype(float), -table["loss"].astype(float), table["unstable"])


def replayed(table: Surface, generator: np.random.Generator) -> Runs:
    """As many runs as the largest budget has, on the scale of the service's analysis."""
    n = table.n_replicates
    order = np.concatenate([generator.permutation(n) for _ in range(0, max(RUNS), n)])

    def run(given: int, tuned: int, seed: int) -> tuple[float, bool]:
        cell = given, tuned, order[seed]
        return float(table.scores[cell]), bool(table.unstable[cell])

    runs = adaptive(table.given, table.tuned, run, generator, max(RUNS))
    return replace(runs, scores=-np.log(-runs.scores))


def study(table: Surface, seed: int) -> dict[tuple[str, int], Judged]:
    """The verdict and slope of each design, by its name and runs."""
    generator = np.random.default_rng(seed)
    runs, found = replayed(table, generator), {}
    for n in RUNS:
        so_far = Runs(*(column[:n] for column in vars(runs).values()))
        found["adaptive", n] = judged(ridge_of(Cells.of(so_far), table.given, table.tuned, generator))
    order = generator.permutation(table.n_replicates)
    for seeds in SEEDS:
        drawn = order[:seeds]
        part = replace(table, scores=table.scores[:, :, drawn], unstable=table.unstable[:, :, drawn])
        found["factorial", part.scores.size] = judged(ridge(part, generator))
    return found


def summary(found: list[Judged], truth: Slope) -> dict[str, Any]:
    slopes = [slope for _, slope in found if slope is not None]
    return {
        "with_slope": len(slopes) / len(found),
        "verdicts": dict(Counter(verdict for verdict, _ in found)),
        "slope": median(s.slope for s in slopes) if slopes else None,
        "width": median(s.ci_high - s.ci_low for s in slopes) if slopes else None,
        "bounded": sum(slope.bounded for slope in slopes) / len(found),
        "coverage": float(np.mean([s.ci_low <= truth.slope <= s.ci_high for s in slopes]))
        if slopes and not truth.bounded
        else None,
    }


def replay(name: str, studies: int) -> dict[str, Any]:
    """All designs on one table."""
    table = read_table(name)
    truth = judged(ridge(table, np.random.default_rng(0)))[1]
    assert truth is not None
    found = [study(table, seed) for seed in track(range(studies), name)]
    rows = [{"design": key[0], "runs": key[1], **summary([each[key] for each in found], truth)} for key in found[0]]
    known = sorted((row["width"], row["runs"]) for row in rows if row["design"] == "factorial" and row["width"])
    for row in rows:
        if row["design"] == "adaptive" and row["width"] and known:
            row["equal"] = float(np.exp(np.interp(np.log(row["width"]), *np.log(known).T)))
    interval = [truth.slope, truth.ci_low, truth.ci_high]
    return {"table": name, "seeds": table.n_replicates, "truth": interval, "bounded": truth.bounded, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=sorted(path.stem for path in TABLES.glob("*.npz")))
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    records = [replay(name, options.studies) for name in options.tables]
    for record in records:
        grid = Table("design", "runs", "with slope", "slope", "width", "coverage", "equal", "verdicts")
        for row in record["rows"]:
            figures = [
                "" if row.get(name) is None else format(row[name], kind)
                for name, kind in {
                    "with_slope": ".0%", "slope": ".2f", "width": ".3f", "coverage": ".0%", "equal": ".0f"
                }.items()
            ]  # fmt: skip
            verdicts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(row["verdicts"].items()))
            grid.add_row(row["design"], str(row["runs"]), *figures, verdicts)
        slope, low, high = record["truth"]
        facts = f"{record['seeds']} seeds a cell, slope {slope:.3f} [{low:.3f}, {high:.3f}]"
        Console(width=130).print(f"{record['table']}: {facts}", grid)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "python": platform.python_version()}
        machine |= {name: version(name) for name in ("numpy", "scipy")}
        facts = {"machine": machine, "studies": options.studies, "tables": records}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
