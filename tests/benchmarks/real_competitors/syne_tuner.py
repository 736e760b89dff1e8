"""Syne Tune with its ASHA baseline on the local backend, as its README has it, with two workers.

    python syne_tuner.py --task images --seconds 300 --data DIR --split FILE --output trials.json

The tuner looks for reports every tenth of a second rather than every five, its default, which is longer than a trial.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform
from syne_tune.experiments import load_experiment
from syne_tune.optimizer.baselines import ASHA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    task = import_module(options.task)
    config_space = {
        "lr": loguniform(*task.RATES),
        **{name: choice(levels) for name, levels in task.CHOICES.items()},
        "task": options.task,
        "data": options.data,
        "split": options.split,
    }
    scheduler = ASHA(
        config_space, metric=task.METRIC, do_minimize=task.MODE == "min", time_attr="part", max_t=task.REPORTS
    )
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_trial.py"))),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_wallclock_time=options.seconds),
        n_workers=2,
        sleep_time=0.1,
    )
    tuner.run()
    options.output.write_text(json.dumps(ended(tuner.name, task)))


def ended(name: str, task: Any) -> list[dict[str, Any]]:
    """The trials that the scheduler stopped or that ran to their end; the others were cut off with the search."""
    trials = []
    for _, reports in load_experiment(name).results.groupby("trial_id"):
        last = reports.sort_values("part").iloc[-1]
        complete = bool(last["part"] == task.REPORTS)
        if complete or last["st_decision"] == "STOP":
            trials.append(
                {
                    "ended": float(last["st_worker_timestamp"]),
                    "complete": complete,
                    "score": float(last[task.METRIC]),
                    "params": {
                        "lr": float(last["config_lr"]),
                        **{key: type(levels[0])(last[f"config_{key}"]) for key, levels in task.CHOICES.items()},
                    },
                }
            )
    return trials


if __name__ == "__main__":
    main()
