"""Records the grid at two budgets that warm_start.py searches: a network on digits at 2 and at 20 epochs.

    python tests/benchmarks/budgets.py FOLDER    # about four minutes; writes budgets.csv.gz there

Every combination of six batch sizes, eleven learning rates and three optimizers is a point of `search.start`, so that a
search of as many trials trains each once, on three seeds. `loss` is the validation loss at the end, mean over seeds.
"""

import sys
from itertools import product
from pathlib import Path

import pandas as pd
from batchlaw import Study

EPOCHS = (2, 20)
SIZES, RATES = [4, 8, 16, 32, 64, 128], [round(10 ** (-3 + 0.35 * place), 6) for place in range(11)]
OPTIMIZERS = ["sgd", "momentum", "adam"]
CELLS = ["batch_size", "base_lr", "optimizer"]


def recorded(folder: Path, epochs: int) -> pd.DataFrame:
    points = [dict(zip(CELLS, cell, strict=True)) for cell in product(SIZES, RATES, OPTIMIZERS)]
    study = Study.create(
        name=f"digits-{epochs}-epochs", storage=f"sqlite:///{folder / f'{epochs}.db'}", budget={"epochs": epochs},
        task={"dataset": "digits", "model": "mlp", "train_size": 400, "model_options": {"widths": [64]}},
        space={
            "batch_size": SIZES, "base_lr": RATES, "optimizer": OPTIMIZERS, "momentum": 0.9, "decay": "cosine"
        },
        search={
            "trials": len(points), "start": points, "confirm": False, "pruner": "none", "replicates": 3,
            "metric": "validation_loss", "sampler": "random", "reports": 1,
        },
    )  # fmt: skip
    trials = study.run(workers=1, threads=1).trials()
    return trials[[*CELLS, "value", "steps"]].rename(columns={"value": f"loss_{epochs}", "steps": f"steps_{epochs}"})


def main() -> None:
    folder = Path(sys.argv[1])
    short, long = (recorded(folder, epochs) for epochs in EPOCHS)
    short.merge(long, on=CELLS).to_csv(folder / "budgets.csv.gz", index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
