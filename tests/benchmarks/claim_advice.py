"""Whether the advice of an inconclusive verdict settles it.

    python tests/benchmarks/claim_advice.py                 # 25 inconclusive studies a setting, 10 minutes
    python tests/benchmarks/claim_advice.py --studies 5

Each study is simulated (`simulated_claims.py`) with a planted slope of 0, .5 or 1, which is clearly outside or inside
of the band of H9, [.75, 1.25]. If its verdict is inconclusive, the study is run again as the verdict advises: with the
batch sizes, learning rates, spacing and seeds of `Finding.advice`, all of them. It is then judged again, and once more
if need be. Every run of a round is a new one; the ridge and its curves stay.

Columns:
- tried: studies simulated until enough were inconclusive.
- right, wrong: of the inconclusive ones, after one and after two rounds.
- none: the verdict says that no further runs of this kind would settle it. It counts as not settled.
- runs: how many times the runs of the first study, in the median, after the rounds that it took.
"""

import argparse
import json
import sys
import warnings
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from batchlaw.claims.advice import Advice
from batchlaw.claims.evidence import gather
from batchlaw.claims.verdict import Finding, judge
from rich.console import Console
from rich.table import Table
from simulated_claims import (
    Grid,
    Setting,
    cliff,
    grid_of,
    log_cosh,
    parabola,
    quadratic,
    simulated,
    smooth_into_wall,
    smooth_then_wall,
    still_falling,
    wall,
)

RESULTS = Path(__file__).parent / "results" / "claim_advice.json"
BAND = (0.75, 1.25)
ROUNDS, MOST_TRIED = 2, 400
SLOPES = (0.0, 0.5, 1.0)
SETTINGS = (
    Setting(shape=parabola, slopes=SLOPES, noise=1.5, seeds=3),
    Setting(shape=log_cosh, slopes=SLOPES, batch_sizes=5),
    Setting(shape=log_cosh, slopes=SLOPES, rates=5, noise=0.5, seeds=3),
    Setting(shape=quadratic, slopes=SLOPES, seeds=1),
    Setting(shape=wall, slopes=SLOPES, batch_sizes=6, rates=6),
    Setting(shape=wall, slopes=SLOPES, centre=-4.0, diverges=True),
    Setting(shape=cliff, slopes=SLOPES),
    Setting(shape=still_falling, slopes=SLOPES),
    Setting(shape=smooth_into_wall, slopes=SLOPES, rates=6),
    Setting(shape=smooth_then_wall, slopes=SLOPES),
)


def followed(grid: Grid, advice: Advice) -> Grid:
    """The study that the advice asks for."""
    apart = float(np.diff(grid.y).min()) if advice.spacing is None else advice.spacing
    low, high = grid.y[0] - advice.below, grid.y[-1] + advice.above
    step = float(np.diff(grid.x).min())
    return Grid(
        np.arange(grid.x[0] - advice.given_below, grid.x[-1] + advice.given_above + 1e-9, step),
        np.arange(low, high + 1e-9, apart),
        advice.seeds or grid.seeds,
    )


def judged(setting: Setting, number: int, grid: Grid) -> Finding:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return judge(gather(simulated(setting, number, grid)[0]), ["H9"])[0]


def outcome(finding: Finding, slope: float) -> str:
    if finding.verdict == "inconclusive":
        return "none" if finding.advice is None or finding.advice.hopeless else "inconclusive"
    within = BAND[0] <= slope <= BAND[1]
    right = {"supported": within, "refuted": not within, "no relation": slope == 0}[finding.verdict]
    return "right" if right else "wrong"


def study(setting: Setting, number: int) -> dict[str, Any] | None:
    """What became of one study; None if its first verdict is no inconclusive one."""
    grid, slope = grid_of(setting), setting.slopes[number % len(setting.slopes)]
    finding = judged(setting, number, grid)
    if finding.verdict != "inconclusive":
        return None
    first, said, outcomes = grid, [finding.settle], []
    for _ in range(ROUNDS):
        if finding.verdict == "inconclusive" and finding.advice and not finding.advice.hopeless:
            grid = followed(grid, finding.advice)
            finding = judged(setting, number, grid)
            said.append(finding.settle)
        outcomes.append(outcome(finding, slope))
    times = len(grid.x) * len(grid.y) * grid.seeds / (len(first.x) * len(first.y) * first.seeds)
    return {"number": number, "slope": slope, "outcomes": outcomes, "times_the_runs": times, "advice": said}


def row(setting: Setting, wanted: int) -> dict[str, Any]:
    """The row of one setting."""
    found: list[dict[str, Any]] = []
    tried = 0
    while len(found) < wanted and tried < MOST_TRIED:
        one = study(setting, tried)
        tried += 1
        found += [one] if one else []
    rounds = [dict(Counter(one["outcomes"][number] for one in found)) for number in range(ROUNDS)]
    times = median(one["times_the_runs"] for one in found) if found else None
    return {
        "setting": setting.name, "tried": tried, "inconclusive": len(found), "rounds": rounds, "times_the_runs": times,
        "studies": found,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> Table:
    names = ("setting", "inconclusive of tried", "right after 1", "right after 2", "wrong", "none", "runs")
    shown = Table(*names, box=None)
    for each in rows:
        first, second = each["rounds"]
        shown.add_row(
            each["setting"], f"{each['inconclusive']} of {each['tried']}", str(first.get("right", 0)),
            str(second.get("right", 0)), str(second.get("wrong", 0)), str(second.get("none", 0)),
            f"× {each['times_the_runs']:.1f}" if each["times_the_runs"] else "",
        )  # fmt: skip
    n = sum(each["inconclusive"] for each in rows)
    totals = [
        [sum(each["rounds"][number].get(name, 0) for each in rows) for number in (0, 1)] for name in ("right", "wrong")
    ]
    shown.caption = (
        f"{totals[0][0] / n:.0%} of {n} inconclusive studies are settled rightly after one round, "
        f"{totals[0][1] / n:.0%} after two; {totals[1][1]} wrongly"
    )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether the advice of inconclusive verdicts settles them.")
    parser.add_argument("--studies", type=int, default=25, help="inconclusive ones a setting")
    parser.add_argument("--json", type=Path, help=f"such as {RESULTS}")
    parser.add_argument("--only", help="settings whose name has this")
    options = parser.parse_args()
    rows = []
    for setting in SETTINGS:
        if options.only is None or options.only in setting.name:
            rows.append(row(setting, options.studies))
            print(setting.name, rows[-1]["rounds"], file=sys.stderr)
    Console(width=160).print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
