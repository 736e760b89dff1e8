"""Tokens a second of the built-in language model beside a plain loop over the same network, and of stacked seeds.

    python tests/benchmarks/text_speed.py [--rounds 7] [--seeds 3] [--json FILE]

The plain loop is that of nanoGPT: windows at random places, stacked from an array in memory, `torch.optim.AdamW`, the
loss of every step added up, nothing else. One thread. Times are of the processor, so that programs beside it matter
less, and loops take turns; medians of the rounds count.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig, parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.spec.own_text import python_source
from batchlaw.train import networks
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy

CPU, NOWHERE = torch.device("cpu"), Path("unused")
NETWORKS = (
    {"width": 32, "depth": 2, "heads": 2, "context": 32},
    {"width": 64, "depth": 2, "heads": 2, "context": 64},
)
TOKENS = 4096  # of a round, and at least four steps


def config_of(network: dict[str, int], batch_size: int, seeds: int) -> TrainConfig:
    study = {
        "name": "speed",
        "task": {"dataset": "python-source", "model": "gpt", "model_options": network},
        "budget": {"steps": max(TOKENS // (batch_size * network["context"]), 4)},
        "space": {"batch_size": batch_size, "base_lr": 0.1, "optimizer": "adamw", "weight_decay": 0.1},
        "search": {"trials": 1, "metric": "validation_loss"},
    }
    point = Point(batch_size=batch_size, base_lr=0.1, optimizer="adamw", weight_decay=0.1)
    return derive(parse_spec(study, "benchmark"), point, tuple(range(seeds)))


def ours(config: TrainConfig, n: int) -> Callable[[], object]:
    """All steps of n seeds as one network."""
    parts = load_parts(config.task, CPU, NOWHERE)
    runs = ParallelRuns(config, config.task, config.seeds[:n], schedule_of(config), parts.train)
    return lambda: (runs.advance(0, config.steps), runs.loss_sum.tolist())


def plain(config: TrainConfig) -> Callable[[], object]:
    """The same number of steps by a loop written by hand."""
    text = np.frombuffer(python_source(), np.uint8)
    model, length = networks.build(config.task, 0), config.task.context
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.peak_lr, weight_decay=0.1)

    def loop() -> float:
        total = 0.0
        for _ in range(config.steps):
            starts = torch.randint(len(text) - length - 1, (config.batch_size,))
            given = torch.stack([torch.from_numpy(text[i : i + length].astype(np.int64)) for i in starts])
            target = torch.stack([torch.from_numpy(text[i + 1 : i + 1 + length].astype(np.int64)) for i in starts])
            loss = cross_entropy(model(given).view(-1, 256), target.view(-1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return loop


def seconds_of(loops: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each loop; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds + 1):
        for name, loop in loops.items():
            began = time.process_time()
            loop()
            times[name].append(time.process_time() - began)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for network in NETWORKS:
        for batch_size in (1, 4, 16, 64):
            config = config_of(network, batch_size, options.seeds)
            loops = {"ours": ours(config, 1), "plain": plain(config), "stacked": ours(config, options.seeds)}
            seconds = seconds_of(loops, options.rounds)
            rows.append(
                {
                    **network,
                    "batch_size": batch_size,
                    "tokens_per_second": {
                        "ours": config.tokens / seconds["ours"],
                        "plain": config.tokens / seconds["plain"],
                    },
                    "of_plain": seconds["plain"] / seconds["ours"],
                    "stacked": options.seeds * seconds["ours"] / seconds["stacked"],
                }
            )
    table = Table("width", "context", "batch", "tokens/s", "plain loop", "ours/plain", f"{options.seeds} seeds stacked")
    for row in rows:
        speeds = [f"{row['tokens_per_second'][loop]:,.0f}" for loop in ("ours", "plain")]
        ratios = [f"{row[ratio]:.2f}×" for ratio in ("of_plain", "stacked")]
        table.add_row(str(row["width"]), str(row["context"]), str(row["batch_size"]), *speeds, *ratios)
    Console(width=100).print(table)
    if options.json:
        facts = {"torch": torch.__version__, "rounds": options.rounds, "seeds": options.seeds}
        options.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
