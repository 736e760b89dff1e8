"""The bounds of a search on a run's seconds and memory: by how much a trial exceeds them."""

from collections.abc import Mapping
from typing import Any

from batchlaw.spec import StudySpec


def excesses(spec: StudySpec, record: Mapping[str, Any], *, share: float = 1.0) -> dict[str, float]:
    """By how much a trial exceeds each bound of its search, as a share of the bound; at most 0 where it keeps it.

    Args:
        spec: the study.
        record: of the trial, as stored.
        share: of its budget that the trial has used; its seconds are projected to the whole.

    Returns:
        By key of [search]. What is not known is left out: the CPU reports no memory of a trial, since its process ran
        others before.
    """
    search, found = spec.search, dict[str, float]()
    if search is None:
        return found
    seconds = record.get("seconds")
    if search.max_seconds is not None and seconds is not None:
        a_run = seconds / max(len(record.get("replicate_values") or ()), search.replicates) / share
        found["max_seconds"] = a_run / search.max_seconds - 1
    memory = record.get("peak_memory_bytes")
    if search.max_memory is not None and memory is not None and record.get("device") not in (None, "cpu"):
        found["max_memory"] = memory / search.max_memory - 1
    return found
