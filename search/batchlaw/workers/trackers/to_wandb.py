"""Weights & Biases: a run for each trial."""

from collections.abc import Mapping
from typing import Any

import wandb

from batchlaw.workers.trackers.logged_trial import LoggedTrial


class WandbTracker:
    """A project of Weights & Biases."""

    def __init__(self, project: str, entity: str | None) -> None:
        self._project, self._entity = project, entity

    def log(self, trial: LoggedTrial) -> None:
        """Log a trial as one run of the group of its study."""
        run = wandb.init(
            project=self._project, entity=self._entity, group=trial.study, id=f"{trial.study}-{trial.number}",
            name=f"{trial.tags['study']} {trial.number}", tags=[trial.tags["outcome"]],
            config=trial.params | trial.tags,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )  # fmt: skip
        try:
            for step, values in trial.points:
                run.log(values, step=step)
        finally:
            run.finish(exit_code=0 if trial.ok else 1)


def tracker(study: str, log: Mapping[str, Any]) -> WandbTracker:
    """The tracker of a study, by its name and its [log]."""
    return WandbTracker(log["project"] or study, log["entity"])
