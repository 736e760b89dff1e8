"""What several horizons cost from one trunk beside a run for each, and whether the losses are the same.

    nice python tests/benchmarks/trunk.py [--seeds 5] [--json FILE]

Trains on digits with AdamW, momentum and Muon. Steps decide the cost; seconds mean something on a quiet machine.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import config_at, schedule_of
from batchlaw.spec import TrainConfig, parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.train import train
from rich.console import Console
from rich.table import Table

HORIZONS = ([0.5, 0.75, 1.0], [0.25, 0.5, 1.0])


def config_of(optimizer: str, horizons: list[float], seeds: int) -> TrainConfig:
    """A wsd run with a cooldown over a fifth of its budget."""
    study = {
        "name": "trunk",
        "task": {"dataset": "digits", "model": "mlp", "train_size": 800},
        "budget": {"epochs": 20},
        "space": {
            "batch_size": [8, 16],
            "base_lr": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
            "optimizer": optimizer,
            "decay": "wsd",
        },
        "schedule": {"horizons": horizons},
        "claim": {"hypotheses": ["H12"], "replicates": 5, "metric": "validation_loss"},
    }
    point = Point(batch_size=16, base_lr=0.3, optimizer=optimizer, decay="wsd", warmup_fraction=0.02)
    return derive(parse_spec(study, "benchmark"), point, tuple(range(seeds)))


def trained(config: TrainConfig) -> tuple[list[dict[str, float]], float]:
    """The metrics of each seed, and the seconds."""
    began = time.perf_counter()
    options: dict[str, Any] = {"device": torch.device("cpu"), "data_dir": Path("unused"), "stacked": False}
    result = train(config, lambda *_: None, **options)
    return result.replicates, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    grid = Table("optimizer", "horizons", "steps", "seconds", "largest difference of a loss", "one seed's deviation")
    for optimizer in ("momentum", "adamw", "muon"):
        for horizons in HORIZONS:
            config = config_of(optimizer, horizons, options.seeds)
            trunk, seconds = trained(config)
            alone = [config_at(config, horizon) for horizon in horizons]
            apart = [trained(each) for each in alone]
            steps = config.steps + sum(each.cooldown_steps or 0 for each in alone[:-1])
            names = [f"validation_loss@{horizon:g}" for horizon in horizons[:-1]] + ["validation_loss"]
            losses = [[seed["validation_loss"] for seed in seeds] for seeds, _ in apart]
            differences = [
                abs(own[name] - loss)
                for name, of_seeds in zip(names, losses, strict=True)
                for own, loss in zip(trunk, of_seeds, strict=True)
            ]
            row = {
                "optimizer": optimizer, "horizons": horizons, "seeds": options.seeds,
                "steps": steps / sum(schedule_of(each).steps for each in alone),
                "seconds": seconds / sum(of_one for _, of_one in apart),
                "largest_difference": max(differences), "deviation": mean(map(stdev, losses)),
            }  # fmt: skip
            rows.append(row)
            grid.add_row(
                optimizer, " ".join(f"{each:g}" for each in horizons), f"{row['steps']:.0%}", f"{row['seconds']:.0%}",
                f"{row['largest_difference']:.2g}", f"{row['deviation']:.2g}",
            )  # fmt: skip
    Console().print(grid)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
