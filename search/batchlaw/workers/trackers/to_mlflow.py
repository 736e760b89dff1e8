"""MLflow: a run for each trial."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from batchlaw.workers.trackers.logged_trial import LoggedTrial

_MOST_METRICS, _MOST_PARAMS = 1000, 100  # that the server takes at once


class MlflowTracker:
    """An experiment of MLflow's."""

    def __init__(self, uri: str | None, experiment: str) -> None:
        with _alone():
            self._client = MlflowClient(tracking_uri=uri)
            self._experiment_id = self._found_or_made(experiment)

    def _found_or_made(self, name: str) -> str:
        if (found := self._client.get_experiment_by_name(name)) is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another worker has made it just now
                if (found := self._client.get_experiment_by_name(name)) is None:
                    raise
        return str(found.experiment_id)

    def log(self, trial: LoggedTrial) -> None:
        """Log a trial as one run."""
        ended = round(1000 * trial.ended)  # in milliseconds
        run = self._client.create_run(
            self._experiment_id, start_time=round(1000 * trial.started), tags=trial.tags,
            run_name=f"{trial.tags['study']} {trial.number}",
        )  # fmt: skip
        run_id = run.info.run_id
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        metrics = [Metric(name, value, ended, step) for step, values in trial.points for name, value in values.items()]
        for part in _parts(params, _MOST_PARAMS):
            self._client.log_batch(run_id, params=part)
        for part in _parts(metrics, _MOST_METRICS):
            self._client.log_batch(run_id, metrics=part)
        status = "KILLED" if trial.tags["outcome"] == "pruned" else "FINISHED" if trial.ok else "FAILED"
        self._client.set_terminated(run_id, status, end_time=ended)


@contextmanager
def _alone() -> Iterator[None]:
    """One process of this user at a time: of several that make the tables of an SQLite file at once, MLflow fails."""
    path = Path(tempfile.gettempdir(), f"batchlaw-mlflow-{os.getuid()}.lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parts(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), most):
        yield items[first : first + most]


def tracker(study: str, log: Mapping[str, Any]) -> MlflowTracker:
    """The tracker of a study, by its name and its [log]."""
    return MlflowTracker(log["uri"], log["experiment"] or study)
