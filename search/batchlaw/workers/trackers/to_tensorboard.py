"""TensorBoard: a folder with an event file for each trial, with its hyperparameters for the page HParams."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from batchlaw.workers.trackers.logged_trial import LoggedTrial

_FOLDER = "runs"  # in which TensorBoard's other writers write, too


class TensorboardTracker:
    """A folder of TensorBoard's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log(self, trial: LoggedTrial) -> None:
        """Write the folder of a trial."""
        writer = EventFileWriter(str(self._folder / trial.study / f"trial-{trial.number}"))
        try:
            facts = hparams_pb(trial.params | trial.tags, trial_id=str(trial.number), start_time_secs=trial.started)
            writer.add_event(Event(wall_time=trial.started, summary=facts))
            for step, values in trial.points:
                found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
                writer.add_event(Event(wall_time=trial.ended, step=step, summary=Summary(value=found)))
        finally:
            writer.close()


def tracker(study: str, log: Mapping[str, Any]) -> TensorboardTracker:
    """The tracker of a study, by its name and its [log]."""
    return TensorboardTracker(Path(log["folder"] or _FOLDER))
