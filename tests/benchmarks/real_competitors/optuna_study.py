"""Plain Optuna, as its PyTorch example and its tutorial on parallelization have it: this script once a process.

    optuna create-study --study-name real --storage sqlite:///real.db --direction maximize
    python optuna_study.py --task images --storage sqlite:///real.db --seconds 300 --data DIR --split FILE    # twice

Sampler (TPE) and pruner (median) are the defaults.
"""

import argparse
from importlib import import_module

import optuna


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=import_module, required=True)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    options = parser.parse_args()
    task = options.task

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: trial.suggest_categorical(name, levels) for name, levels in task.CHOICES.items()}
        run = task.Trial(options.data, options.split, lr=trial.suggest_float("lr", *task.RATES, log=True), **chosen)
        for report in range(task.REPORTS):
            score = run.train_part()
            trial.report(score, report)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    study = optuna.load_study(study_name="real", storage=options.storage)
    study.optimize(objective, timeout=options.seconds)


if __name__ == "__main__":
    main()
