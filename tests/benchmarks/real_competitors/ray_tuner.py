"""Ray Tune with its Optuna searcher and ASHA, as its guides have them; two trials at once, of one CPU each.

    python ray_tuner.py --seconds 300 --data DIR --split FILE --output trials.json [--reuse-actors]

ASHA's settings are the defaults, but for the ten epochs. By default every trial is a process of its own, which imports
torch anew; `--reuse-actors` keeps the processes, as Ray's documentation proposes for short trials.
"""

import argparse
import json
import time
from pathlib import Path

import ray
import task
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch


def train(config: dict) -> None:
    run = task.Trial(config["data"], config["split"], config["lr"], config["batch_size"], config["optimizer"])
    for _ in range(task.EPOCHS):
        tune.report({"accuracy": run.train_epoch()})


class Ends(tune.Callback):
    """When each trial ended, whether it was stopped early or not."""

    def __init__(self) -> None:
        self.trials: list[dict] = []

    def on_trial_complete(self, iteration: int, trials: list, trial: tune.experiment.Trial, **info: object) -> None:
        last = trial.last_result
        if "accuracy" in last:  # else it was ended, with the search, before its first report
            self.trials.append(
                {
                    "ended": time.time(),
                    "complete": last["training_iteration"] == task.EPOCHS,
                    "accuracy": last["accuracy"],
                    "params": {name: trial.config[name] for name in ("lr", "batch_size", "optimizer")},
                }
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reuse-actors", action="store_true")
    options = parser.parse_args()
    ray.init(num_cpus=2)
    ends = Ends()
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(*task.LR),
            "batch_size": tune.choice(task.BATCH_SIZES),
            "optimizer": tune.choice(task.OPTIMIZERS),
            "data": options.data,
            "split": options.split,
        },
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(max_t=task.EPOCHS),
            num_samples=-1,
            max_concurrent_trials=2,
            time_budget_s=options.seconds,
            reuse_actors=options.reuse_actors,
        ),
        run_config=tune.RunConfig(storage_path=str(Path.cwd() / "ray"), callbacks=[ends]),
    )
    tuner.fit()
    options.output.write_text(json.dumps(ends.trials))


if __name__ == "__main__":
    main()
