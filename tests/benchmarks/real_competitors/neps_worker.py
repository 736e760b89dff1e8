"""NePS with PriorBand, as its guide to priors and budgets has it: this script once a process.

    python neps_worker.py --task images --seconds 300 --data DIR --split FILE --output trials.jsonl
    python neps_worker.py --second ...     # the same; it takes the space from the first, as 0.17 wants it

A trial is one configuration at one budget, which goes on from its checkpoint where it has one; those at the whole
budget are complete. The priors are what the task says that its user would guess, with medium confidence.
"""

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import neps
import torch

BEGAN = time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=import_module, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--second", action="store_true")
    options = parser.parse_args()
    task, last, root = options.task, BEGAN, Path.cwd() / "neps"

    def evaluate_pipeline(
        pipeline_directory: Path, previous_pipeline_directory: Path | None, parts: int, **config: Any
    ) -> dict[str, float]:
        nonlocal last
        run = task.Trial(options.data, options.split, **config)
        if previous_pipeline_directory is not None:
            saved = torch.load(previous_pipeline_directory / "checkpoint.pt")
            run.model.load_state_dict(saved["model"])
            run.optimizer.load_state_dict(saved["optimizer"])
            run.parts = saved["parts"]
        while run.parts < parts:
            score = run.train_part()
        saved = {"model": run.model.state_dict(), "optimizer": run.optimizer.state_dict(), "parts": run.parts}
        torch.save(saved, pipeline_directory / "checkpoint.pt")
        ended = time.time()
        told = {"ended": ended, "complete": parts == task.REPORTS, "score": score, "params": config}
        with options.output.open("a") as file:
            file.write(json.dumps(told) + "\n")
        cost, last = ended - last, ended  # of the wall clock, so that the budget is the time
        return {"objective_to_minimize": score if task.MODE == "min" else -score, "cost": cost}

    lr = neps.Float(*task.RATES, log=True, prior=task.GUESS["lr"], prior_confidence="medium")
    choices = {
        name: neps.Categorical(tuple(of), prior=of.index(task.GUESS[name]), prior_confidence="medium")
        for name, of in task.CHOICES.items()
    }
    parameters = {"lr": lr, **choices, "parts": neps.IntegerFidelity(1, task.REPORTS)}
    while options.second and not (root / "pipeline_space.pkl").exists():
        time.sleep(0.1)
    neps.run(
        evaluate_pipeline,
        pipeline_space=None if options.second else type("Space", (neps.PipelineSpace,), parameters)(),
        root_directory=root,
        optimizer="priorband",
        worker_cost_to_spend=options.seconds,
    )


if __name__ == "__main__":
    main()
