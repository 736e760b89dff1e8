"""One trial of Syne Tune, a process of its own: what `syne_tuner.py` starts."""

import argparse
from importlib import import_module

from syne_tune import Reporter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", type=import_module, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    task = parser.parse_known_args()[0].task
    parser.add_argument("--lr", type=float, required=True)
    for name, levels in task.CHOICES.items():
        parser.add_argument(f"--{name}", type=type(levels[0]), required=True)
    options, _ = parser.parse_known_args()
    report = Reporter()
    chosen = {name: getattr(options, name) for name in ("lr", *task.CHOICES)}
    run = task.Trial(options.data, options.split, **chosen)
    for part in range(1, task.REPORTS + 1):
        report(part=part, **{task.METRIC: run.train_part()})


if __name__ == "__main__":
    main()
