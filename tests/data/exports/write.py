"""Write the exports of this folder: the same toy runs, by each tool. Run as `python write.py TOOL…`; see README.md.

The toy: batch sizes 8 to 128, learning rates 2^-8 to 2^-2, three seeds. The loss is a parabola in log2(rate) around
√batch size / 64: the best batch size is 4096 rate². Runs at the two largest rates and the smallest batch size diverge.
"""

import math
import os
import random
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RATES, SIZES, SEEDS, EPOCHS = [2.0**power for power in range(-8, -1)], [8, 16, 32, 64, 128], [0, 1, 2], 3


def loss(rate, size, seed, epoch=EPOCHS):
    """The validation loss after an epoch; infinite where the toy diverges."""
    if size == 8 and rate >= 2**-3:
        return math.inf
    off = math.log2(rate) - 0.5 * math.log2(size) + 6
    noise = random.Random(f"{rate} {size} {seed} {epoch}").gauss(0, 0.005)
    return 1 + 0.1 * off**2 + 0.3 * (EPOCHS - epoch) + noise


def cells():
    return [(rate, size, seed) for rate in RATES for size in SIZES for seed in SEEDS]


def optuna_():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    grid = {"lr": RATES, "batch_size": SIZES, "seed": SEEDS}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid, seed=0))
    study.set_metric_names(["val_loss"])

    def objective(trial):
        rate = trial.suggest_float("lr", RATES[0], RATES[-1], log=True)
        size = trial.suggest_int("batch_size", SIZES[0], SIZES[-1])
        seed = trial.suggest_int("seed", 0, 2)
        if (rate, size, seed) == (RATES[0], 128, 0):
            trial.report(9.0, 1)
            raise optuna.TrialPruned
        return loss(rate, size, seed)

    study.optimize(objective)
    study.trials_dataframe().to_csv(HERE / "optuna.csv")


def mlflow_():
    import tempfile

    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("toy")
        for rate, size, seed in cells():
            with mlflow.start_run(run_name=f"lr{rate}-bs{size}-{seed}"):
                mlflow.log_params({"lr": rate, "batch_size": size, "seed": seed})
                for epoch in range(1, EPOCHS + 1):
                    mlflow.log_metric("val_loss", loss(rate, size, seed, epoch), step=epoch)
        mlflow.start_run(run_name="crashed")
        mlflow.log_params({"lr": RATES[0], "batch_size": 8, "seed": 0})
        mlflow.log_metric("val_loss", 9.0)
        mlflow.end_run("FAILED")
        table = mlflow.search_runs(experiment_names=["toy"])
        table["artifact_uri"] = table["artifact_uri"].str.replace(str(Path.cwd()), "/home/me")  # no path of a machine
        table.to_csv(HERE / "mlflow.csv")


def train_ray(config):
    from ray import tune

    for epoch in range(1, EPOCHS + 1):
        tune.report({"val_loss": loss(config["lr"], config["batch_size"], config["seed"], epoch)})


def ray_():
    import tempfile

    from ray import tune

    grid = {"lr": RATES, "batch_size": SIZES, "seed": SEEDS}
    space = {name: tune.grid_search(values) for name, values in grid.items()}
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(train_ray, param_space=space, run_config=tune.RunConfig(storage_path=folder, verbose=0))
        tuner.fit().get_dataframe().to_csv(HERE / "ray.csv", index=False)


def train_syne_tune(lr, batch_size, seed):  # its text is run elsewhere, without the rest of this module
    from syne_tune import Reporter
    from write import EPOCHS, loss

    reporter = Reporter()
    for epoch in range(1, EPOCHS + 1):
        reporter(epoch=epoch, val_loss=loss(lr, batch_size, seed, epoch))


def syne_tune_():
    import tempfile

    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import PythonBackend
    from syne_tune.config_space import choice
    from syne_tune.experiments import load_experiment
    from syne_tune.optimizer.baselines import RandomSearch

    space = {"lr": choice(RATES), "batch_size": choice(SIZES), "seed": choice(SEEDS)}
    os.environ["PYTHONPATH"] = str(HERE)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYNETUNE_FOLDER"] = folder
        tuner = Tuner(
            trial_backend=PythonBackend(tune_function=train_syne_tune, config_space=space),
            scheduler=RandomSearch(space, metrics=["val_loss"], do_minimize=True, random_seed=0),
            stop_criterion=StoppingCriterion(max_num_trials_finished=24),
            n_workers=2,
            sleep_time=0.1,
        )
        tuner.run()
        load_experiment(tuner.name).results.to_csv(HERE / "syne_tune.csv", index=False)


def excel_():
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "notes"
    book.active.append(["Sweep of March, by hand"])
    sheet = book.create_sheet("runs")
    sheet.append(["Sweep of March"])
    sheet.append([])
    sheet.append(["Learning rate", "Batch size", "Seed", "Validation loss", "Remark"])
    for rate, size, seed in cells():
        value = loss(rate, size, seed)
        sheet.append([rate, size, seed, value if math.isfinite(value) else "diverged", None])
    book.save(HERE / "excel.xlsx")


def parquet_():
    import pandas as pd

    rows = [
        {"lr": rate, "batch_size": size, "seed": seed, "val_loss": loss(rate, size, seed)}
        for rate, size, seed in cells()
    ]
    pd.DataFrame(rows).to_parquet(HERE / "runs.parquet")


def wandb_():
    """By W&B's documentation of its CSV export of a table of runs; W&B itself needs an account."""
    import csv

    with (HERE / "wandb.csv").open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(
            [
                "Name",
                "State",
                "Notes",
                "User",
                "Tags",
                "Created",
                "Runtime",
                "Sweep",
                "batch_size",
                "learning_rate",
                "seed",
                "epoch",
                "train/loss",
                "val/loss",
            ]
        )
        for number, (rate, size, seed) in enumerate(cells()):
            value = loss(rate, size, seed)
            state, shown = ("finished", "Infinity" if math.isinf(value) else repr(value))
            writer.writerow(
                [
                    f"ruby-sun-{number}",
                    state,
                    "-",
                    "me",
                    "",
                    "2026-03-01T10:00:00.000Z",
                    "61",
                    "",
                    size,
                    rate,
                    seed,
                    3,
                    shown,
                    shown,
                ]
            )
        writer.writerow(
            [
                "dry-moon-106",
                "running",
                "-",
                "me",
                "",
                "2026-03-01T10:00:00.000Z",
                "3",
                "",
                8,
                RATES[0],
                0,
                1,
                "9.0",
                "9.0",
            ]
        )


TOOLS = {
    "optuna": optuna_,
    "mlflow": mlflow_,
    "ray": ray_,
    "syne-tune": syne_tune_,
    "excel": excel_,
    "parquet": parquet_,
    "wandb": wandb_,
}
PACKAGES = {"mlflow": "mlflow-skinny", "excel": "openpyxl", "parquet": "pyarrow"}

if __name__ == "__main__":
    for tool in sys.argv[1:] or TOOLS:
        TOOLS[tool]()
        print(tool, "" if tool == "wandb" else version(PACKAGES.get(tool, tool)))
