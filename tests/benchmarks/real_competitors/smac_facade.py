"""SMAC3 with its multi-fidelity facade, as its example of a perceptron and its epochs has it, with two workers.

    python smac_facade.py --task images --seconds 300 --data DIR --split FILE --output trials.json

A trial is one configuration at one budget, trained from the start; those at the whole budget are complete.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path

from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float
from smac import MultiFidelityFacade, Scenario
from smac.intensifier.hyperband import Hyperband


class Training:
    """What SMAC minimizes."""

    def __init__(self, task: str, data: str, split: str) -> None:
        self.task, self.data, self.split = task, data, split

    def train(self, config: Configuration, seed: int = 0, budget: float = 1) -> float:
        task = import_module(self.task)
        run = task.Trial(self.data, self.split, **{name: native(value) for name, value in config.items()})
        for _ in range(round(budget)):
            score = run.train_part()
        return score if task.MODE == "min" else -score


def native(value: object) -> object:
    """A value as Python has it, in place of numpy."""
    return value.item() if hasattr(value, "item") else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    task = import_module(options.task)
    space = ConfigurationSpace()
    space.add(Float("lr", task.RATES, log=True), *(Categorical(name, of) for name, of in task.CHOICES.items()))
    scenario = Scenario(
        space, walltime_limit=options.seconds, n_trials=100_000, min_budget=1, max_budget=task.REPORTS, n_workers=2,
        deterministic=True, output_directory=Path.cwd() / "smac",
    )  # fmt: skip
    smac = MultiFidelityFacade(
        scenario,
        Training(options.task, options.data, options.split).train,
        initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=5),
        intensifier=Hyperband(scenario, incumbent_selection="highest_budget"),
        overwrite=True,
    )
    incumbent = smac.optimize()
    sign = 1 if task.MODE == "min" else -1
    trials = []
    for key, value in smac.runhistory.items():
        if value.endtime:  # the others were running at the end
            config = smac.runhistory.get_config(key.config_id)
            complete = round(key.budget) == task.REPORTS
            trials.append(
                {
                    "ended": value.endtime,
                    "complete": complete,
                    "score": sign * value.cost,
                    "params": {name: native(chosen) for name, chosen in config.items()},
                    "named": complete and config == incumbent,
                }
            )
    options.output.write_text(json.dumps(trials))


if __name__ == "__main__":
    main()
