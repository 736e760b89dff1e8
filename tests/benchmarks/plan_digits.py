"""A plan from designed studies on digits, beside tuning the run that was planned.

    batchlaw plan --design studies/plan-digits.toml --at examples=231680 --up-to examples=23168 --factor 3 -o plans
    for file in plans/*.toml; do batchlaw run $file; done
    python tests/benchmarks/plan_digits.py --at 231680 [--storage URL] [--json FILE]

Forecasts the best rate of a run ten times longer than the longest that is stored. Then it tunes that run: the rates of
the studies and two octaves of lower ones, at three of their batch sizes, with five other seeds, in a study of its own.
It tells where the tuned best rate lies, whether the interval holds it, and the loss that each rate costs above the
tuned best: the forecast's, and the best rate of the longest study, unchanged. A loss between two rates that were run is
interpolated by a cubic in the logarithm. A tuned best at the end of the rates is told as such.
"""

import argparse
import json
from pathlib import Path

import batchlaw as bl
import numpy as np
from batchlaw.laws.plan_design import horizon_of
from rich.console import Console
from rich.table import Table
from scipy.interpolate import CubicSpline


def tuned(longest: bl.Study, examples: int, storage: str | None) -> bl.Study:
    """The study that tunes the run asked for, on other seeds than those of the plan."""
    sizes = sorted(longest.trials()["batch_size"].unique())
    table = json.loads(longest.spec.model_dump_json(exclude_none=True, exclude_defaults=True))
    table["name"], table["budget"] = f"{longest.name}-tuned-{examples}", {"examples": examples}
    table["space"]["batch_size"] = [int(sizes[0]), int(sizes[len(sizes) // 2]), int(sizes[-1])]
    rates = table["space"]["base_lr"]
    table["space"]["base_lr"] = [rates[0] / 4, rates[0] / 2, *rates]
    table["claim"]["seed"] = 1
    return bl.Study.create(storage=storage, **table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=int, required=True)
    parser.add_argument("--storage")
    parser.add_argument("--prefix", default="plan-digits-")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = [each.spec.name for each in bl.studies(options.storage) if each.spec.name.startswith(options.prefix)]
    studies = [bl.Study.open(name, options.storage) for name in names if "tuned" not in name]
    studies.sort(key=lambda study: horizon_of(study.spec))
    plan = bl.plan(studies, at={"examples": options.at})
    long = tuned(studies[-1], options.at, options.storage).run()
    before, after = (_losses(study) for study in (studies[-1], long))
    rows = []
    for size, curve in after.items():
        predicted, short = plan.lr_at(size), before[size]
        best, lowest = _bottom(curve)
        carried = _bottom(short)[0]
        rates = {"forecast costs": np.log2(predicted.value), "unchanged costs": carried}
        costs = {name: float(_spline(curve)(np.clip(rate, min(curve), max(curve))) - lowest)
                 for name, rate in rates.items()}  # fmt: skip
        rows.append({
            "batch size": size, "forecast": predicted.value, "low": predicted.low, "high": predicted.high,
            "tuned": 2**best, "at the end": best in (min(curve), max(curve)), "unchanged": 2**carried,
            "held": predicted.low <= 2**best <= predicted.high, "tuned loss": lowest, **costs,
        })  # fmt: skip
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*(f"{value:.4g}" if not isinstance(value, bool) else str(value) for value in row.values()))
    Console(width=140).print(shown, plan)
    if options.json:
        told = {
            "at": options.at,
            "studies": names,
            "bends": plan.bends,
            "rows": rows,
            "losses": {size: {f"{2**rate:.4g}": loss for rate, loss in curve.items()} for size, curve in after.items()},
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")


def _losses(study: bl.Study) -> dict[int, dict[float, float]]:
    """At each batch size the loss at log₂ of each rate that trained."""
    table = study.trials()
    table = table[table["outcome"] == "complete"]
    return {
        int(size): dict(sorted(zip(np.log2(part["peak_lr"]), part["value"], strict=True)))
        for size, part in table.groupby("batch_size")
    }


def _spline(curve: dict[float, float]) -> CubicSpline:
    return CubicSpline(list(curve), list(curve.values()))


def _bottom(curve: dict[float, float]) -> tuple[float, float]:
    """log₂ of the rate with the lowest loss, and that loss."""
    places = np.linspace(min(curve), max(curve), 2001)
    losses = _spline(curve)(places)
    return float(places[losses.argmin()]), float(losses.min())


if __name__ == "__main__":
    main()
