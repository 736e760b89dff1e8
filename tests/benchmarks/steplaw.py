"""Laws and costs of the Step Law table, beside what others found in it.

    python tests/benchmarks/steplaw.py runs_small.csv [--json FILE]

The table (arXiv:2503.04715; language models, one run each; columns N, D, lr, bs, smooth_loss) states no licence, so it
is no part of the project and is read from a path. Of each grid, by the number of parameters N and of tokens D: the
exponent of the best rate on the batch size, and what it costs to carry the rate tuned at a batch size of 192 to others.
Known from elsewhere: exponents of .13 to .18 at D/N near 19 and .60 at the longest budgets; mean costs over grids of
.0101 by a constant rate, .0219 by the square root and .318 by the linear rule. What counts where the rate lies beyond
those tried, or diverges, was not told: taking each row's nearest rate tried, the means are .0120, .0139 and .785.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from batchlaw.laws.tables import law, transfer
from rich.console import Console
from rich.table import Table

REFERENCE = 192
RULES = ("constant", "sqrt", "linear", "law")
KNOWN = {"constant": 0.0101, "sqrt": 0.0219, "linear": 0.318}
COLUMNS = {"score": "smooth_loss", "direction": "minimize", "lr": "lr", "batch_size": "bs"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="of the table")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    runs = pd.read_csv(options.path)
    began = time.process_time()
    found = law(runs, **COLUMNS)
    seconds = time.process_time() - began
    console = Console(width=150)
    table = Table("N, M", "D, G", "D/N", "runs", "noise", "exponent", "interval", "curve", "levels known", "decides")
    laws = sorted(found.strata, key=lambda part: part.stratum["D"] / part.stratum["N"])
    for part in laws:
        n, d = part.stratum["N"], part.stratum["D"]
        known = sum(part.ridge.identified) if part.ridge else 0
        exponent = interval = ""
        if part.fitted is not None:
            exponent = f"{part.exponent:.2f}"
            interval = f"\\[{part.low:.2f}, {part.high:.2f}]" + " by sets" * part.fitted.exponent.bounded
        table.add_row(
            f"{n / 1e6:.0f}", f"{d / 1e9:.1f}", f"{d / n:.0f}", str(len(part.smooth.heights.x)),
            f"{part.smooth.noise:.4f}", exponent, interval,
            part.curve or part.lack, f"{known} of {len(part.ridge.given)}", str(part.smooth.decides),
        )  # fmt: skip
    console.print(table)
    console.print(*found.together, f"{seconds:.1f} s of the processor")
    moved = transfer(runs, **COLUMNS, reference_batch_size=REFERENCE)
    costs = pd.concat([part.costs.assign(grid=number) for number, part in enumerate(moved.strata)])
    costs = costs[costs["batch_size"] != REFERENCE]
    means = {rule: float(costs[costs["rule"] == rule].groupby("grid")["cost"].mean().mean()) for rule in RULES}
    table = Table("rule", "mean cost, nats", "known", "median of all batch sizes", "best rule in grids")
    for rule in RULES:
        own = costs[costs["rule"] == rule]["cost"]
        first = sum(part.rules[0].name == rule for part in moved.strata)
        table.add_row(rule, f"{means[rule]:.4f}", f"{KNOWN.get(rule, np.nan):.4f}", f"{own.median():.4f}", str(first))
    console.print(table)
    if options.json:
        told = [
            {
                "N": part.stratum["N"],
                "D": part.stratum["D"],
                "exponent": part.exponent,
                "low": part.low,
                "high": part.high,
            }
            for part in laws
        ]
        options.json.write_text(json.dumps({"seconds": seconds, "laws": told, "costs": means}, indent=1) + "\n")


if __name__ == "__main__":
    main()
