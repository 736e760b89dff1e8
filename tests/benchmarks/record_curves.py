"""Learning curves of a thousand configurations, so that searches that prune can be replayed in seconds.

    python tests/benchmarks/record_curves.py digits [--workers 2] [--out tests/data/curves/digits.npz]

Every cell of a grid of batch sizes, learning rates, optimizers, decays and warmups is trained on three seeds. The first
has its validation metric at each of ten reports, which is what a search sees; all have their last validation metric and
their score on test data, which tell how good the cell is. What a step takes was measured for each batch size and
optimizer by itself, as the shortest of several runs in processor time, so that a busy machine does not spoil it.
"""

import argparse
import itertools
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchlaw.errors import Diverged
from batchlaw.objectives.folders import default_data_dir
from batchlaw.recipe.derive import derive
from batchlaw.spec import StudySpec, parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.train import train
from rich.progress import track

REPORTS, SEEDS, TIMED = 10, (11, 22, 33), 5
CPU = torch.device("cpu")
FACTORS = ("batch_size", "base_lr", "optimizer", "decay", "warmup_fraction")
TASKS: dict[str, dict[str, Any]] = {
    "digits": {
        "task": {"dataset": "digits", "model": "mlp", "train_size": 800, "validation_fraction": 0.4,
                 "model_options": {"widths": [128]}},
        "budget": {"epochs": 20}, "metric": "validation_accuracy",
        "levels": ([2**k for k in range(1, 10)], [2.0**-k for k in range(13, -1, -1)], ["momentum", "adamw"],
                   ["constant", "cosine"], [0.0, 0.1]),
    },
    "fashion-mnist": {  # the task of real_images.toml
        "task": {"dataset": "fashion-mnist", "model": "mlp", "train_size": 3840,
                 "validation_fraction": 0.021333333333, "model_options": {"widths": [128]}},
        "budget": {"epochs": 10}, "metric": "validation_accuracy",
        "levels": ([2**k for k in range(4, 10)], [2.0**-k for k in range(16, 2, -1)], ["sgd", "rmsprop", "adam"],
                   ["constant", "cosine"], [0.0, 0.1]),
    },
    "text": {
        "task": {"dataset": "python-source", "model": "gpt", "train_size": 4096, "evaluation_tokens": 16_384,
                 "model_options": {"width": 48, "depth": 2, "heads": 4, "context": 64}},
        "budget": {"epochs": 1}, "metric": "validation_loss",
        "levels": ([2**k for k in range(1, 7)], [2.0**-k for k in range(15, 3, -1)], ["adamw"],
                   ["constant", "cosine"], [0.0, 0.1]),
    },
}  # fmt: skip


@cache
def spec_of(task: str) -> StudySpec:
    """The study of a task; learning rates are the optimizers' own."""
    facts = TASKS[task]
    table = {
        "name": task, "task": facts["task"], "budget": facts["budget"],
        "space": {"batch_size": 32, "base_lr": 0.1, "family_factors": False},
        "search": {"trials": 1, "metric": facts["metric"], "reports": REPORTS},
    }  # fmt: skip
    return parse_spec(table, "record_curves")


def trained(task: str, levels: tuple[Any, ...], seed: int) -> tuple[list[float], float, float]:
    """One run: its metric at each report, its score on test data, and its processor seconds without evaluation.

    A run that diverged has NaN from there on.
    """
    torch.set_num_threads(1)
    spec, metric, curve = spec_of(task), TASKS[task]["metric"], []
    point = Point(**dict(zip(FACTORS, levels, strict=True)), momentum=0.9, weight_decay=0.0)
    config = derive(spec, point, (seed,))
    began = time.process_time()
    try:
        result = train(
            config, lambda progress, metrics: curve.append(metrics[metric]), device=CPU, data_dir=default_data_dir(),
            test=True,
        )  # fmt: skip
        test = result.metrics[metric.replace("validation", "test")]
    except Diverged:
        test = float("nan")
    curve = [*curve, *[float("nan")] * REPORTS][:REPORTS]
    return curve, test, time.process_time() - began


def cell(task: str, levels: tuple[Any, ...]) -> tuple[list[list[float]], list[float]]:
    """The curves and the test scores of all seeds."""
    runs = [trained(task, levels, seed) for seed in SEEDS]
    return [curve for curve, _, _ in runs], [test for _, test, _ in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    levels = TASKS[options.task]["levels"]
    cells = list(itertools.product(*levels))
    sizes, rates, optimizers = levels[:3]
    with ProcessPoolExecutor(options.workers) as pool:
        timed = {
            (size, optimizer): [
                pool.submit(trained, options.task, (size, rates[len(rates) // 3], optimizer, "constant", 0.0), 1)
                for _ in range(TIMED)
            ]
            for size, optimizer in itertools.product(sizes, optimizers)
        }
        seconds = {each: min(future.result()[2] for future in futures) for each, futures in timed.items()}
        futures = [pool.submit(cell, options.task, each) for each in cells]
        found = [future.result() for future in track(futures, options.task)]
    shape = tuple(map(len, levels))
    out = options.out or Path(__file__).parents[1] / "data" / "curves" / f"{options.task}.npz"
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        curves=np.array([curves for curves, _ in found], np.float32).reshape(*shape, len(SEEDS), REPORTS),
        test=np.array([test for _, test in found], np.float32).reshape(*shape, len(SEEDS)),
        seconds=np.array([[seconds[size, optimizer] for optimizer in optimizers] for size in sizes]),
        **{name: np.array(of) for name, of in zip(FACTORS, levels, strict=True)},
    )
    print(f"{len(cells)} cells of {len(SEEDS)} seeds, {out.stat().st_size / 1e6:.2f} MB: {out}")


if __name__ == "__main__":
    main()
