"""Ray Tune with its Optuna searcher and ASHA, as its guides have them; two trials at once, of one CPU each.

    python ray_tuner.py --task images --seconds 300 --data DIR --split FILE --output trials.json [--reuse-actors]

ASHA's settings are the defaults, but for the most reports. By default every trial is a process of its own, which
imports torch anew; `--reuse-actors` keeps the processes, as Ray's documentation proposes for short trials.
"""

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch


def train(config: dict[str, Any], task_name: str, data: str, split: str) -> None:
    task = import_module(task_name)
    run = task.Trial(data, split, **config)
    for _ in range(task.REPORTS):
        tune.report({task.METRIC: run.train_part()})


class Ends(tune.Callback):
    """When each trial ended, whether it was stopped early or not."""

    def __init__(self, task: Any) -> None:
        self.task, self.trials = task, []

    def on_trial_complete(self, iteration: int, trials: list, trial: tune.experiment.Trial, **info: object) -> None:
        last = trial.last_result
        if self.task.METRIC in last:  # else it was ended, with the search, before its first report
            self.trials.append(
                {
                    "ended": time.time(),
                    "complete": last["training_iteration"] == self.task.REPORTS,
                    "score": last[self.task.METRIC],
                    "params": {name: trial.config[name] for name in ("lr", *self.task.CHOICES)},
                }
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--reuse-actors", action="store_true")
    options = parser.parse_args()
    task = import_module(options.task)
    ray.init(address="local", num_cpus=2)  # whatever else runs here
    ends = Ends(task)
    trainable = tune.with_parameters(train, task_name=options.task, data=options.data, split=options.split)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(*task.RATES),
            **{name: tune.choice(levels) for name, levels in task.CHOICES.items()},
        },
        tune_config=tune.TuneConfig(
            metric=task.METRIC,
            mode=task.MODE,
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(max_t=task.REPORTS),
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
