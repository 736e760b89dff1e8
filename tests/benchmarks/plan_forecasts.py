"""How good the forecasts of `batchlaw plan` are: on simulated runs with planted laws, and on parts of a table.

    python tests/benchmarks/plan_forecasts.py [--studies 100] [--json FILE]
    python tests/benchmarks/plan_forecasts.py --table runs.csv --tokens D --parameters N --score loss \\
        --beyond tokens=2.5e10 --beyond parameters=4e8

Simulated: groups of runs over horizons and sizes, whose best rate rises with the batch size up to a kink. Valleys are
steeper on the right. Each group is off the law by an offset and a slope, that of the run asked for as well, or all are
on it. One seed or five, holes, walls at which runs diverge, a curve without a kink, models whose sizes have an offset
each, and laws whose exponent of the horizon, or whose slope on the batch size, changes by some amount each time it
doubles. What is forecast lies twice as far as the largest group in each axis. Every setting has studies of its own.
"told" is how often a bend is told.

Of a table each group is left out in turn; then those from each `--beyond` on, together; then none, which tells what a
law of this form can reach. A regret is the height above the bottom of the valley that the left-out runs themselves
show, and "covered" counts their best rates. "its floor" is the regret of a pair at the group's own best batch size, as
a smooth curve has it, and own best rate: it is the noise of the lowest of the group's bottoms.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from batchlaw.laws.planning import plan
from batchlaw.stats.batch_forecast import best_batch_size
from rich.console import Console
from rich.table import Table

SIZES = 2.0 ** np.arange(4, 12)
SETTINGS = {
    "as the law": {},
    "five seeds": {"seeds": 5},
    "a third of the runs missing": {"holes": 0.33},
    "five seeds, a third missing": {"seeds": 5, "holes": 0.33},
    "a wall": {"wall": 1.5},
    "no kink": {"kink": 20.0},
    "flat": {"kink": -5.0},
    "noisy": {"noise": 0.01},
    "four groups": {"groups": 2},
    "sixteen groups": {"groups": 4},
    "groups on the law": {"offset": 0.0, "tilt": 0.0},
    "groups on the law, five seeds": {"offset": 0.0, "tilt": 0.0, "seeds": 5},
    "groups far off the law": {"offset": 0.3},
    "sizes with an offset each": {"of_size": 0.1},
    "sizes with twice that": {"of_size": 0.2},
    "three horizons": {"axes": 1},
    "three horizons, far off the law": {"axes": 1, "offset": 0.3},
    "five horizons": {"axes": 1, "groups": 5},
    "five horizons on the law": {"axes": 1, "groups": 5, "offset": 0.0, "tilt": 0.0},
    "five horizons, far off the law": {"axes": 1, "groups": 5, "offset": 0.3},
    "five horizons, bend .1": {"axes": 1, "groups": 5, "bend": -0.1},
    "five horizons, bend .2": {"axes": 1, "groups": 5, "bend": -0.2},
    "five horizons, bend .4": {"axes": 1, "groups": 5, "bend": -0.4},
    "sixteen groups, bend .1": {"groups": 4, "bend": -0.1},
    "sixteen groups, bend .2": {"groups": 4, "bend": -0.2},
    "slopes that fall": {"turn": -0.07},
    "slopes that rise by twice that": {"turn": 0.14},
}


def simulated(
    generator: np.random.Generator, *, seeds: int = 1, holes: float = 0.0, wall: float = np.inf, kink: float = 7.0,
    noise: float = 0.003, axes: int = 2, groups: int = 3, offset: float = 0.1, tilt: float = 0.05,
    of_size: float = 0.0, bend: float = 0.0, turn: float = 0.0,
) -> tuple[pd.DataFrame, dict[str, float], "np.ndarray[tuple[int], np.dtype[np.float64]]"]:  # fmt: skip
    """Runs, what is asked for, and log₂ of the best rate there at SIZES."""
    of_d, of_n = generator.uniform(0.0, 0.6), generator.uniform(-1.0, 0.0)
    kink_d, kink_n = generator.uniform(0.3, 1.0), generator.uniform(-0.5, 0.0)
    rise = generator.uniform(0.4, 1.1)

    of_sizes = generator.normal(scale=of_size, size=groups + 1)

    def best(d: int, n: int) -> np.ndarray:
        """Of a group, with an offset and a slope of its own."""
        below = kink + kink_d * d + kink_n * n - np.log2(SIZES)
        own = generator.normal(scale=offset) + generator.normal(scale=tilt) * (np.log2(SIZES) - 7)
        own = own + bend / 2 * (d - (groups - 1) / 2) ** 2 + turn * (d - (groups - 1) / 2) * (np.log2(SIZES) - 7)
        return -9 + of_d * d + of_n * n - rise / 3 * np.logaddexp2(0, 3 * below) + own + of_sizes[n]

    rows = []
    for d in range(groups):
        for n in range(groups if axes == 2 else 1):
            off = best(d, n)
            grid = np.arange(-13, -5.9, 0.5) + off.mean() + 9
            for size, middle in zip(SIZES, off, strict=True):
                for x in grid:
                    z = x - middle
                    loss = 2.5 - 0.05 * d + 0.01 * 2 * (np.exp(0.6 * z) - 0.6 * z - 1) / 0.36
                    loss += 0.004 * (np.log2(size) - 7 - 0.5 * d) ** 2
                    for _ in range(seeds):
                        got = loss + generator.normal(scale=noise) if z < wall else np.inf
                        if generator.uniform() >= holes:
                            rows.append((4e9 * 2.0**d, 2e8 * 2.0**n, 2.0**x, size, got))
    table = pd.DataFrame(rows, columns=["D", "N", "lr", "bs", "loss"])
    asked = {"tokens": 4e9 * 2.0**groups}
    if axes == 2:
        asked["parameters"] = 2e8 * 2.0**groups
    return table, asked, best(groups, groups if axes == 2 else 0)


def measured(studies: int) -> Iterator[dict[str, object]]:
    for place, (name, setting) in enumerate(SETTINGS.items()):
        inside, widths, errors, seconds, told = [], [], [], [], []
        for number in range(studies):
            table, asked, truth = simulated(np.random.default_rng([place, number]), **setting)
            began = time.process_time()
            found = plan(
                table, lr="lr", batch_size="bs", score="loss", direction="minimize", at=asked, tokens="D",
                parameters="N" if "parameters" in asked else None, where=None,
            )  # fmt: skip
            seconds.append(time.process_time() - began)
            predicted = found.rates(SIZES)
            low, high = predicted.interval(0.05)
            inside += ((low <= truth) & (truth <= high)).tolist()
            widths += (high - low).tolist()
            errors += np.abs(predicted.mean - truth).tolist()
            told.append(bool(found.bends))
        of_each = np.mean(np.reshape(inside, (studies, -1)), axis=1)
        yield {
            "setting": name, "studies": studies, "covered": float(of_each.mean()),
            "its error": float(of_each.std() / studies**0.5), "width, octaves": float(np.mean(widths)),
            "error, octaves": float(np.median(errors)), "told": float(np.mean(told)),
            "seconds": float(np.median(seconds)),
        }  # fmt: skip


def left_out(table: Path, columns: dict[str, str], beyond: list[str]) -> Iterator[dict[str, object]]:
    from batchlaw.claims.over import groups_over
    from batchlaw.tables.columns import Columns
    from batchlaw.tables.reading import read_runs

    axes = {axis: columns.pop(axis) for axis in ("tokens", "parameters")}
    given = {name: value for name, value in columns.items() if value is not None}
    runs = read_runs(table, Columns.of(**given, by=tuple(axes.values())))
    groups = groups_over(runs, axes)[0]
    frame = runs.table.replace([np.inf], 1e308)

    def forecasts(held: list[int], out: list[int]) -> dict[str, object]:
        kept = frame
        for number in out:
            values = groups[number][0]
            kept = kept[~np.logical_and.reduce([kept[column] == values[axis] for axis, column in axes.items()])]
        rate, inside, widths, pairs, worst, sizes, floors = [], [], [], [], 0.0, [], []
        for number in held:
            values, own = groups[number]
            found = plan(kept, **given, **axes, at=values, extrapolate=True)
            predicted = found.rates(2**own.batch_size)
            low, high = predicted.interval(0.05)
            lost = own.shape.height(predicted.mean - own.best, own.batch_size)
            rate += lost.tolist()
            worst = max(worst, float(lost.mean()))
            inside += ((low <= own.best) & (own.best <= high)).tolist()
            widths += (high - low).tolist()
            size = np.log2(found.batch_size.value)
            if (best := best_batch_size(own)) is not None:
                ends = np.log2([found.batch_size.low, found.batch_size.high])
                sizes.append((ends[0] <= best[0] <= ends[1], ends[1] - ends[0]))
                floors.append(np.interp(best[0], own.batch_size, own.lowest) - own.lowest.min())
            bottom, best = (np.interp(size, own.batch_size, each) for each in (own.lowest, own.best))
            off = float(np.log2(found.lr.value) - best)
            pairs.append(float(bottom - own.lowest.min() + own.shape.height(np.array([off]), np.array([size]))[0]))
        return {
            "regret of the rate": float(np.mean(rate)), "worst group": worst, "covered": float(np.mean(inside)),
            "width, octaves": float(np.mean(widths)), "regret of the pair": float(np.mean(pairs)),
            "worst pair": max(pairs), "its floor": float(np.mean(floors)),
            "batch size covered": float(np.mean(sizes, axis=0)[0]), "its width": float(np.mean(sizes, axis=0)[1]),
        }  # fmt: skip

    each = [forecasts([number], [number]) for number in range(len(groups))]
    mean = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
    worst = {name: max(one[name] for one in each) for name in ("worst group", "worst pair")}
    yield {"left out": "each group in turn"} | mean | worst
    for told in beyond:
        axis, _, least = told.partition("=")
        held = [number for number, (values, _) in enumerate(groups) if values[axis] >= float(least)]
        yield {"left out": f"{axis} ≥ {least}"} | forecasts(held, held)
    yield {"left out": "none"} | forecasts(list(range(len(groups))), [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    for name in ("tokens", "parameters", "lr", "batch-size", "score", "direction"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--beyond", action="append", default=[], metavar="NAME=X")
    options = vars(parser.parse_args())
    studies, json_, table, beyond = (options.pop(name) for name in ("studies", "json", "table", "beyond"))
    rows = list(measured(studies) if table is None else left_out(table, options, beyond))
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*(value if isinstance(value, str) else f"{value:.4g}" for value in row.values()))
    Console(width=150).print(shown)
    if json_:
        json_.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
