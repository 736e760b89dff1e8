"""Where the factors between families' learning rates come from: each family's best rate beside plain SGD's.

    python tests/benchmarks/family_factors.py [--seeds 3] [--json FILE]

Trains every family over a grid of learning rates at the reference batch size of 32 on two tasks, and takes the rate of
the lowest mean validation loss, refined by a parabola through it and its neighbours on log axes.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from batchlaw.errors import DataError, Diverged
from batchlaw.objectives.folders import default_data_dir
from batchlaw.recipe.derive import derive
from batchlaw.recipe.scaling import family_factor
from batchlaw.spec import parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.train import train
from rich.console import Console
from rich.progress import track
from rich.table import Table

FAMILIES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
MOMENTUM = 0.9
TASKS = {
    "digits": {"dataset": "digits", "model": "mlp", "train_size": 800},
    "fashion-mnist": {"dataset": "fashion-mnist", "model": "mlp", "train_size": 2000, "validation_fraction": 0.03},
}
MULTIPLIERS = [2.0**exponent for exponent in range(-4, 5)]  # around sgd's 0.1 × the factor in use


def mean_loss(task: dict[str, object], family: str, lr: float, seeds: tuple[int, ...]) -> float:
    """Mean validation loss after 20 epochs at batch size 32 and a constant rate; inf where a seed diverged."""
    study = {
        "name": "factors",
        "question": "?",
        "task": task,
        "budget": {"epochs": 20},
        "space": {"batch_size": 32, "base_lr": lr / family_factor(family, MOMENTUM), "optimizer": family},
        "search": {"trials": 1, "reports": 1},
    }
    point = Point(
        batch_size=32, base_lr=lr / family_factor(family, MOMENTUM), scaling_rule="constant", warmup_fraction=0.0,
        optimizer=family, decay="constant", momentum=MOMENTUM, weight_decay=0.0,
    )  # fmt: skip
    config = derive(parse_spec(study, "benchmark"), point, seeds)
    try:
        result = train(config, lambda *_: None, device=torch.device("cpu"), data_dir=default_data_dir())
    except Diverged:
        return math.inf
    return math.inf if any(result.diverged) else result.metrics["validation_loss"]


def best_lr(lrs: list[float], losses: list[float]) -> tuple[float, bool]:
    """The vertex of the parabola through the lowest loss and its neighbours, and whether the lowest is interior."""
    at = min(range(len(lrs)), key=losses.__getitem__)
    if at in (0, len(lrs) - 1) or not all(map(math.isfinite, losses[at - 1 : at + 2])):
        return lrs[at], 0 < at < len(lrs) - 1
    left, middle, right = losses[at - 1 : at + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return lrs[at] * (lrs[at] / lrs[at - 1]) ** shift, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, task in TASKS.items():
        for family in track(FAMILIES, description=name):
            lrs = [0.1 * family_factor(family, MOMENTUM) * multiplier for multiplier in MULTIPLIERS]
            try:
                losses = [mean_loss(task, family, lr, tuple(range(options.seeds))) for lr in lrs]
            except DataError as error:
                Console().print(f"skipped {name}: {error}")
                break
            lr, interior = best_lr(lrs, losses)
            rows.append({"task": name, "family": family, "best_lr": lr, "interior": interior, "loss": min(losses)})
    reference = {row["task"]: row["best_lr"] for row in rows if row["family"] == "sgd"}
    grid = Table("task", "family", "best lr", "over sgd's", "in use", "loss")
    for row in rows:
        row["ratio"] = row["best_lr"] / reference[row["task"]]
        row["in_use"] = family_factor(row["family"], MOMENTUM)
        edge = "" if row["interior"] else " (edge)"
        grid.add_row(
            row["task"], row["family"], f"{row['best_lr']:.4g}{edge}", f"{row['ratio']:.3g}", f"{row['in_use']:g}",
            f"{row['loss']:.4f}",
        )  # fmt: skip
    Console().print(grid)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
