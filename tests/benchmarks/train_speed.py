"""Examples a second of `batchlaw.train` beside a hand-written loop and a `DataLoader` loop, in one run.

    python tests/benchmarks/train_speed.py [--rounds 5] [--threads 1] [--json FILE]

The hand-written loop is plain PyTorch with the same network, batches and optimizer and no reports. The `DataLoader`
loop reads torchvision's own FashionMNIST data set through `ToTensor`, as tutorials do; it needs that data (Debian's
dataset-fashion-mnist, or torchvision's files under BATCHLAW_DATA). Of `train`, `steps` counts the time of its steps and
`whole` the whole call: construction, ten reports with validation, and the final score of the training data. Each round
times all of them in turn; medians count.
"""

import argparse
import gzip
import json
import shutil
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
from batchlaw.data_files import DEBIAN_FASHION_MNIST
from batchlaw.errors import DataError
from batchlaw.objectives.folders import default_data_dir
from batchlaw.recipe.derive import derive
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.seeds import derive_seed
from batchlaw.spec import TrainConfig, parse_spec
from batchlaw.spec.knobs import Point
from batchlaw.train import networks, optimizers, train
from batchlaw.train.data import load_parts
from batchlaw.train.stream import ExampleStream
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

CPU = torch.device("cpu")
TASKS = {
    "digits": {"dataset": "digits", "model": "mlp", "train_size": 800},
    "fashion-mnist": {"dataset": "fashion-mnist", "model": "mlp", "train_size": 10_000},
}
STEPS = {2: 2000, 32: 1000, 512: 200}


def config_of(task: dict[str, object], batch_size: int, family: str, steps: int | None = None) -> TrainConfig:
    study = {
        "name": "speed",
        "question": "?",
        "task": task,
        "budget": {"steps": steps or STEPS[batch_size]},
        "space": {"batch_size": batch_size, "base_lr": 0.01, "optimizer": family},
        "search": {"trials": 1, "reports": 10},
    }
    point = Point(
        batch_size=batch_size, base_lr=0.01, scaling_rule="constant", warmup_fraction=0.1, optimizer=family,
        decay="cosine", momentum=0.9, weight_decay=0.0,
    )  # fmt: skip
    return derive(parse_spec(study, "benchmark"), point, (0,))


def ours(config: TrainConfig, device: torch.device) -> float:
    """The whole of `train`; returns the seconds of its steps."""
    return train(config, lambda *_: None, device=device, data_dir=default_data_dir()).train_seconds


def by_hand(config: TrainConfig, device: torch.device) -> None:
    """What someone would write for one run: the same everything, no reports."""
    parts = load_parts(config.task, device, default_data_dir())
    model = networks.build(config.task, derive_seed(0, "weights")).to(device)
    optimizer = optimizers.build(config, model)
    stream = ExampleStream(len(parts.train), derive_seed(0, "stream"), device)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule_of(config).lr_multipliers().tolist().__getitem__)
    model.train()
    for step in range(config.steps):
        index = stream.take(config.batch_size)
        optimizer.zero_grad()
        loss = cross_entropy(model(parts.train.inputs[index]), parts.train.targets[index])
        loss.backward()
        optimizer.step()
        if step + 1 < config.steps:
            schedule.step()
    loss.item()  # waits for the device


def with_data_loader(config: TrainConfig, root: Path, device: torch.device, workers: int = 0) -> None:
    """The tutorial's loop over torchvision's data set; on a GPU from pinned memory, by so many worker processes."""
    data = Subset(FashionMNIST(root, train=True, transform=ToTensor()), range(config.train_size))
    loader = DataLoader(
        data, batch_size=config.batch_size, shuffle=True, drop_last=True, num_workers=workers,
        pin_memory=device.type == "cuda", persistent_workers=workers > 0,
    )  # fmt: skip
    model = networks.build(config.task, 0).to(device)
    optimizer = optimizers.build(config, model)
    done = 0
    while True:
        for images, labels in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(images.to(device, non_blocking=True)), labels.to(device, non_blocking=True))
            loss.backward()
            optimizer.step()
            done += 1
            if done == config.steps:
                loss.item()  # waits for the device
                return


def torchvision_root(folder: Path) -> Path:
    """torchvision's layout, unpacked from Debian's files where it is not there already."""
    if (default_data_dir() / "FashionMNIST").is_dir():
        return default_data_dir()
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DEBIAN_FASHION_MNIST.glob("*.gz"):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return folder


def medians(
    config: TrainConfig, root: Path | None, rounds: int, device: torch.device = CPU, workers: int = 0
) -> dict[str, float]:
    """Median seconds of each loop; the first round warms up. The `DataLoader` has so many worker processes."""
    times: dict[str, list[float]] = {"steps": [], "whole": [], "by hand": [], "DataLoader": []}
    for _ in range(rounds + 1):
        began = time.perf_counter()
        times["steps"].append(ours(config, device))
        times["whole"].append(time.perf_counter() - began)
        began = time.perf_counter()
        by_hand(config, device)
        times["by hand"].append(time.perf_counter() - began)
        if root is not None:
            began = time.perf_counter()
            with_data_loader(config, root, device, workers)
            times["DataLoader"].append(time.perf_counter() - began)
    return {loop: statistics.median(values[1:]) for loop, values in times.items() if values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console(width=120)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, task in TASKS.items():
            try:
                load_parts(config_of(task, 2, "momentum").task, CPU, default_data_dir())
            except DataError as error:
                console.print(f"skipped {name}: {error}")
                continue
            root = torchvision_root(Path(scratch)) if name == "fashion-mnist" else None
            for batch_size, family in track(list(product(STEPS, ("momentum", "adam"))), description=name):
                config = config_of(task, batch_size, family)
                median = medians(config, root, options.rounds)
                rows.append(
                    {
                        "task": name,
                        "batch_size": batch_size,
                        "optimizer": family,
                        "examples_per_second": {loop: config.examples / value for loop, value in median.items()},
                        "of_by_hand": median["by hand"] / median["steps"],
                        "of_data_loader": median["DataLoader"] / median["steps"] if root else None,
                    }
                )
    grid = Table("task", "batch", "optimizer", "steps", "whole", "by hand", "DataLoader", "steps/hand", "steps/Loader")
    for row in rows:
        speeds = {loop: f"{speed:,.0f}" for loop, speed in row["examples_per_second"].items()}
        loader = f"{row['of_data_loader']:.1f}×" if row["of_data_loader"] else ""
        numbers = [speeds["steps"], speeds["whole"], speeds["by hand"], speeds.get("DataLoader", "")]
        grid.add_row(
            row["task"], str(row["batch_size"]), row["optimizer"], *numbers, f"{row['of_by_hand']:.0%}", loader
        )
    console.print(grid)
    if options.json:
        facts = {"torch": torch.__version__, "threads": options.threads, "rounds": options.rounds}
        options.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
