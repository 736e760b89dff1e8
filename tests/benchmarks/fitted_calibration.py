"""Measure how often a fitted surface through single runs misleads: verdicts, slopes and levels, by kind of design.

    python tests/benchmarks/fitted_calibration.py [--studies 40] [--workers 2] [--settings REGEX] [--json FILE]

A setting is a shape of `simulated_claims` and a design: one run a cell of a grid of 8 × 9 with 0, 10 or 30 % of the
cells missing; rates and batch sizes drawn log-uniformly; or drawn so at first and then near the best so far, as by TPE.
Slopes of 0, .5, .7 and 1 are planted in turn, in half of the studies the best batch size of a rate (H9), in half the
best rate of a batch size (H6). A verdict is what the slope would say if it were allowed to. Of each setting:

- wrong, right; slope, width; levels; closed, bounds: as in `claim_calibration`.
- noise: what the surface takes the standard deviation of a run to be, over the planted one; median.

A kind of design may decide only where verdicts are wrong in 5 % or less and slopes and levels are covered in 93 % or
more in all of its settings. `FittedSurface.guide` is made by that.

Studies, parts and resuming are as in `claim_calibration`.
"""

import argparse
import hashlib
import json
import re
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import claim_calibration
import numpy as np
import simulated_claims
from batchlaw.claims.verdict import slope_verdict
from batchlaw.stats.equivalence import equivalence_p
from batchlaw.stats.fitted_surface import Lack, fitted_surface
from batchlaw.stats.scattered import Scattered
from batchlaw.stats.surface import Floats
from claim_calibration import RESULTS, Row
from rich.console import Console
from rich.table import Table
from simulated_claims import Grid, Setting, grid_of, simulated

SLOPES = (0.0, 0.5, 0.7, 1.0)
STEP = 0.05  # octaves between the places of random designs
SPREAD = 0.8  # octaves: how near to a good run a sampler tries the next
FIRST, GOOD = 0.25, 0.2  # share of the runs drawn before any score, and of those among which it goes on


@dataclass(frozen=True)
class Design:
    """A shape and where the runs lie."""

    setting: Setting
    kind: str  # "grid", "grid with holes", "random" or "sampler"
    amount: int  # percent of the cells of a grid that are missing; of other designs the number of runs
    held_out: bool = False

    @property
    def name(self) -> str:
        shape = self.setting.shape.__name__.replace("_", " ") + (", diverges" if self.setting.diverges else "")
        shape += ", slope drifts" * self.setting.kink
        of = f"{self.amount} % missing" if self.kind.startswith("grid") else f"{self.amount} runs"
        return f"{self.kind}, {of} · {shape}"


SHAPES = (
    Setting(shape=simulated_claims.parabola, slopes=SLOPES, seeds=1),
    Setting(shape=simulated_claims.log_cosh, slopes=SLOPES, seeds=1),
    Setting(shape=simulated_claims.wall, slopes=SLOPES, seeds=1),
    Setting(shape=simulated_claims.wall, slopes=SLOPES, seeds=1, diverges=True),
    Setting(shape=simulated_claims.smooth_into_wall, slopes=SLOPES, seeds=1),
    Setting(shape=simulated_claims.parabola_into_cliff, slopes=SLOPES, seeds=1),
)
DESIGNS = {
    design.name: design
    for kind, amounts in (("grid", (0, 10)), ("grid with holes", (30,)), ("random", (40, 100)), ("sampler", (40, 100)))
    for amount in amounts
    for design in (Design(setting, kind, amount) for setting in SHAPES)
}


def runs_of(design: Design, number: int) -> tuple[Scattered, Setting, Floats, Floats]:
    """The runs of a study; its setting; log₂ of given levels, and of the best tuned level at each."""
    setting = replace(design.setting, hypothesis="H9" if number // len(SLOPES) % 2 == 0 else "H6")
    generator = np.random.default_rng([number, *design.name.encode()])
    grid = grid_of(setting)
    if not design.kind.startswith("grid"):
        x, y = (np.arange(axis[0], axis[-1] + STEP / 2, STEP) for axis in (grid.x, grid.y))
        grid = Grid(x, y, 1)
    surface, (_, optimum) = simulated(setting, number, grid)  # the rate given, the batch size tuned
    scores, lost = surface.scores[:, :, 0], surface.unstable[:, :, 0]
    if design.kind.startswith("grid"):
        kept = generator.random(scores.shape) >= design.amount / 100
        row, column = np.nonzero(kept)
    elif design.kind == "random":
        row, column = (generator.integers(0, n, design.amount) for n in scores.shape)
    else:
        row, column = _sampled(scores, design.amount, generator)
    # Every other run that diverged has a finite score in place of a mark.
    diverged = lost[row, column] & (np.arange(len(row)) % 2 == 0)
    runs = Scattered(
        surface.given[row], surface.tuned[column], scores[row, column], diverged, np.zeros(len(row), dtype=np.intp)
    )
    given = surface.given if setting.hypothesis == "H9" else surface.tuned
    return runs, setting, np.log2(given), optimum


def _sampled(scores: Floats, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places that a sampler tries: some anywhere, the others near one of the best so far."""
    at = [generator.integers(0, scores.shape) for _ in range(round(FIRST * n))]
    while len(at) < n:
        order = sorted(at, key=lambda place: -scores[*place])
        centre = order[generator.integers(0, max(round(GOOD * len(at)), 1))]
        moved = centre + generator.normal(size=2) * SPREAD / STEP
        at.append(np.clip(moved.round().astype(int), 0, np.array(scores.shape) - 1))
    row, column = np.array(at).T
    return row, column


def judged(design: Design, number: int) -> Row:
    """What the surface of one study says, beside the truth; as `claim_calibration.judged`, with the noise."""
    runs, setting, places, optimum = runs_of(design, number)
    record: Row = {
        "slope": SLOPES[number % len(SLOPES)], "verdict": "inconclusive", "interval": None, "levels": [], "error": None
    }  # fmt: skip
    began = time.process_time()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = fitted_surface(runs)
        if isinstance(found, Lack):
            return record | {"error": found.reason}
        given = "lr" if setting.hypothesis == "H9" else "batch_size"
        ridge, slope = found.ridge(given), found.slope(given)
    record["seconds"] = time.process_time() - began
    record["noise"] = found.noise / setting.noise
    if slope is not None:
        record["interval"] = [slope.ci_low, slope.ci_high]
        p = equivalence_p(slope, *claim_calibration.BAND)
        record["verdict"] = slope_verdict(slope, 1.0, claim_calibration.NONE, p, 0.05)[0]
    truth = np.interp(np.log2(ridge.given), places, optimum)
    record["levels"] = [
        [status, float(low), float(high), float(best)]
        for status, low, high, best in zip(ridge.status, ridge.low, ridge.high, truth, strict=True)
    ]
    return record


def part(name: str, start: int, stop: int) -> list[Row]:
    return [judged(DESIGNS[name], number) for number in range(start, stop)]


def code() -> str:
    """Of what a result depends on."""
    return hashlib.sha256((claim_calibration.fingerprint() + Path(__file__).read_text()).encode()).hexdigest()[:12]


def kinds(rows: list[Row]) -> list[Row]:
    """For each kind of design, its worst settings, and whether it may decide."""
    found = []
    for kind in dict.fromkeys(design.kind for design in DESIGNS.values()):
        own = [row for row in rows if DESIGNS[row["setting"]].kind == kind]
        if own:
            wrong = max(row["wrong"]["share"] for row in own)
            covered = [min(row[name]["share"] for row in own if row[name]) for name in ("slope", "levels")]
            decides = wrong <= claim_calibration.MOST_WRONG and min(covered) >= claim_calibration.LEAST_COVERED
            found.append({"kind": kind, "wrong": wrong, "slope": covered[0], "levels": covered[1], "decides": decides})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40, help="of each setting of grids; of others half")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--settings", default="", metavar="REGEX", help="those whose name it is found in")
    parser.add_argument("--json", type=Path, default=RESULTS / "fitted_calibration.json")
    options = parser.parse_args()
    names = [name for name in DESIGNS if re.search(options.settings, name)]
    parts = options.json.with_suffix(".jsonl")
    rows = []
    for is_grid, studies in ((True, options.studies), (False, options.studies // 2)):
        own = [name for name in names if DESIGNS[name].kind.startswith("grid") == is_grid]
        rows += claim_calibration.run(own, studies, options.workers, parts, settings=DESIGNS, part=part, code=code())
    noises: dict[str, list[float]] = {}
    for each in map(json.loads, parts.read_text().splitlines()):
        if each["code"] == code():
            noises.setdefault(each["setting"], []).extend(
                study["noise"] for study in each["studies"] if "noise" in study
            )
    rows = [row | {"noise": median(noises[row["setting"]])} for row in rows]
    told: dict[str, Any] = {"studies": options.studies, "kinds": kinds(rows)}
    lines = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
    options.json.write_text(json.dumps(told)[:-1] + f', "rows": [\n{lines}\n]}}\n')
    claim_calibration.show(rows)
    table = Table("kind of design", "wrong, at most", "slope covered, at least", "levels", "decides")
    for kind in told["kinds"]:
        table.add_row(
            kind["kind"], *(f"{100 * kind[name]:.1f} %" for name in ("wrong", "slope", "levels")), str(kind["decides"])
        )
    console = Console(width=170)
    console.print(table)
    console.print("noise, found over planted: " + ", ".join(f"{row['setting']} {row['noise']:.2f}" for row in rows))


if __name__ == "__main__":
    main()
