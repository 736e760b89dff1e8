"""The learning-rate bound of `batchlaw range` beside the rates at which whole runs diverge.

    nice python tests/benchmarks/critical_range.py [--dataset fashion-mnist] [--optimizer adam] [--json FILE]

Three optimizers over five batch sizes, `base_lr` from 2^-5 to 2^7 in octaves, three seeds, ten epochs at a constant
rate. The edge is the largest rate up to which, from the lowest on, every seed ends below the training loss of its
untrained network; the best rate has the lowest validation loss.
"""

import argparse
import json
import tempfile
import time
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any

import batchlaw as bl
import torch
from batchlaw.errors import Diverged
from batchlaw.objectives.folders import default_data_dir
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.spec import TrainConfig, parse_spec, toml_of
from batchlaw.spec.knobs import Point
from batchlaw.train.loop import Run
from batchlaw.train.results import results_of
from rich.console import Console
from rich.table import Table

OPTIMIZERS = ("momentum", "adam", "muon")
BATCH_SIZES = (4, 16, 64, 256, 1024)
RATES = tuple(2.0**octave for octave in range(-5, 8))


def study_of(optimizer: str, dataset: str) -> dict[str, Any]:
    """The study whose range is measured."""
    return {
        "name": f"range-{optimizer}",
        "task": {"dataset": dataset, "model": "mlp", "train_size": 1024},
        "budget": {"epochs": 10},
        "space": {"batch_size": list(BATCH_SIZES), "base_lr": list(RATES), "optimizer": optimizer},
        "search": {"trials": 65, "metric": "validation_loss", "reports": 5},
    }


def ended(config: TrainConfig) -> tuple[bool, float]:
    """Whether every seed ended below its untrained network, and the mean validation loss."""
    run = Run([config], torch.device("cpu"), default_data_dir(), None)
    run.train([lambda *_: None], None)
    [result] = results_of(run, None)
    if isinstance(result, Diverged) or any(result.diverged):
        return False, inf
    pairs = zip(result.replicates, run.untrained_metrics(), strict=True)
    return all(end["train_loss"] < start["train_loss"] for end, start in pairs), result.metrics["validation_loss"]


def rows_of(optimizer: str, dataset: str) -> tuple[list[dict[str, Any]], float, float]:
    """A row for each batch size, and the seconds of the range and of the runs."""
    study = study_of(optimizer, dataset)
    spec = parse_spec(study, "benchmark")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "range.toml")
        file.write_text(toml_of(spec))
        began = time.perf_counter()
        found = bl.learning_rate_range(file, device="cpu", threads=1)
    searched = time.perf_counter() - began
    began, rows = time.perf_counter(), []
    for bound in found.rows:
        points = [Point(batch_size=bound.batch_size, base_lr=rate, optimizer=optimizer) for rate in RATES]
        ends = [ended(derive(spec, point, run_seeds(0, 3))) for point in points]
        stable = list(takewhile(lambda pair: pair[1][0], zip(RATES, ends, strict=True)))
        losses = [loss for _, loss in ends]
        kept = [loss for rate, loss in zip(RATES, losses, strict=True) if rate <= bound.base_lr.value]
        rows.append({
            "optimizer": optimizer, "batch_size": bound.batch_size, "bound": bound.base_lr.value,
            "low": bound.base_lr.low, "high": bound.base_lr.high, "edge": stable[-1][0] if stable else None,
            "best": RATES[losses.index(min(losses))], "best_loss": min(losses),
            "loss_below_bound": min(kept, default=inf), "losses": losses,
        })  # fmt: skip
    return rows, searched, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--optimizer", action="append", choices=OPTIMIZERS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, seconds, saved = [], {}, {}
    grid = Table("optimizer", "B", "bound [seeds]", "edge", "bound/edge", "best", "loss lost by the cut", box=None)
    for optimizer in options.optimizer or OPTIMIZERS:
        own, searched, trained = rows_of(optimizer, options.dataset)
        seconds[optimizer] = {"range": searched, "runs": trained}
        one = max(row["bound"] for row in own)
        above = [sum(rate > bound for rate in RATES) / len(RATES) for bound in (one, *(row["bound"] for row in own))]
        saved[optimizer] = {"one_bound": above[0], "each_batch_size": sum(above[1:]) / len(own)}
        rows += own
        for row in own:
            ratio = row["bound"] / row["edge"] if row["edge"] else inf
            grid.add_row(
                optimizer, str(row["batch_size"]), f"{row['bound']:.3g} \\[{row['low']:.3g}, {row['high']:.3g}]",
                f"{row['edge']}", f"{ratio:.2g}", f"{row['best']:g}",
                f"{row['loss_below_bound'] - row['best_loss']:.3g}",
            )  # fmt: skip
    console = Console(width=120)
    console.print(grid)
    for optimizer, share in saved.items():
        console.print(
            f"{optimizer}: of the runs {share['one_bound']:.0%} lie above the largest bound, "
            f"{share['each_batch_size']:.0%} above that of their batch size; "
            f"{seconds[optimizer]['range']:.0f} s of range, {seconds[optimizer]['runs']:.0f} s of runs"
        )
    if options.json:
        told = {"dataset": options.dataset, "rates": RATES, "rows": rows, "share_above": saved, "seconds": seconds}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
