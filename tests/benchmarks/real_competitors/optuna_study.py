"""Plain Optuna, as its PyTorch example and its tutorial on parallelization have it: this script once a process.

    optuna create-study --study-name real --storage sqlite:///real.db --direction maximize
    python optuna_study.py --storage sqlite:///real.db --seconds 300 --data DIR --split FILE     # and once more

Sampler (TPE) and pruner (median) are the defaults.
"""

import argparse

import optuna
import task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    options = parser.parse_args()

    def objective(trial: optuna.Trial) -> float:
        run = task.Trial(
            options.data,
            options.split,
            lr=trial.suggest_float("lr", *task.LR, log=True),
            batch_size=trial.suggest_categorical("batch_size", task.BATCH_SIZES),
            optimizer=trial.suggest_categorical("optimizer", task.OPTIMIZERS),
        )
        for epoch in range(task.EPOCHS):
            accuracy = run.train_epoch()
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    study = optuna.load_study(study_name="real", storage=options.storage)
    study.optimize(objective, timeout=options.seconds)


if __name__ == "__main__":
    main()
