"""One trial of Syne Tune, a process of its own: what `syne_tuner.py` starts."""

import argparse

import task
from syne_tune import Reporter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--optimizer", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    options, _ = parser.parse_known_args()
    report = Reporter()
    run = task.Trial(options.data, options.split, options.lr, options.batch_size, options.optimizer)
    for epoch in range(1, options.epochs + 1):
        report(epoch=epoch, accuracy=run.train_epoch())


if __name__ == "__main__":
    main()
