"""Seconds a step at each batch size of code of the user's own, by the clocks of its trials."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

import numpy as np

from batchlaw.errors import StudyError
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import TrialRecord
from batchlaw.results.step_time import Profile, Row
from batchlaw.spec import StudySpec


def times_of_trials(
    spec: StudySpec, records: Iterable[TrialRecord], optimizers: Collection[str] | None = None
) -> Profile:
    """A profile from whole trials: their seconds, of starting and evaluating too, over their steps.

    Only the trials of the device that ran most of them count.

    Args:
        spec: the study.
        records: its trials.
        optimizers: those to tell of; None is all.

    Raises:
        StudyError: no complete trial tells its time and its number of steps.
    """
    timed = [record for record in records if _seconds_a_step(record) is not None]
    timed = [record for record in timed if not optimizers or record.known_config.optimizer in optimizers]
    if not timed:
        raise StudyError(f"study {spec.name!r} has no complete trial whose seconds, steps and batch size are known")
    device, _ = Counter(record.result.device for record in timed).most_common(1)[0]
    timed = [record for record in timed if record.result.device == device]
    groups: dict[tuple[str, int], list[TrialRecord]] = defaultdict(list)
    for record in timed:
        groups[record.known_config.optimizer, record.known_config.batch_size].append(record)
    rows = tuple(_row(optimizer, size, groups[optimizer, size], spec.devices) for optimizer, size in sorted(groups))
    latest = max(timed, key=lambda record: record.number)
    return Profile(
        study=spec.name,
        device=device or "a device that is not known",
        threads=max(row.threads or 1 for row in rows),
        precision="whole trials",
        replicates=1,
        measured_at=latest.ended.isoformat(timespec="seconds") if latest.ended else "",
        versions=dict(latest.result.versions),
        rows=rows,
        largest=None,
    )


def _seconds_a_step(record: TrialRecord) -> float | None:
    config, result = record.config, record.result
    if record.outcome != Outcome.COMPLETE or config is None or not (config.batch_size and config.steps):
        return None
    seconds = result.train_seconds or result.seconds
    return None if not seconds else seconds / (len(config.seeds) - result.not_trained) / config.steps


def _row(optimizer: str, batch_size: int, records: list[TrialRecord], devices: int) -> Row:
    seconds = [_seconds_a_step(record) or 0.0 for record in records]
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    threads = [record.result.threads or 1 for record in records]
    parts = [record.result.micro_batch_size or -(-batch_size // devices) for record in records]
    return Row(
        optimizer=optimizer, batch_size=batch_size, seconds_a_step=float(middle), iqr_seconds=float(high - low),
        micro_batch_size=max(parts) * devices, peak_memory_bytes=None, threads=max(threads),
    )  # fmt: skip
