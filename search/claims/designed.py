"""From the trials of a designed study to surfaces."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from search.claims.evidence import gather
from search.claims.verdict import Finding, judge
from search.errors import StudyError
from search.records import TrialRecord, records_of
from search.spec import DATASETS, StudySpec, levels_of
from search.stats.surface import Surface
from search.storage import StoredStudy, patiently

_RIDGE = ("batch_size", "base_lr")
_STRATA = ("optimizer", "momentum", "weight_decay", "decay", "warmup_fraction")
_JUDGED = ("complete", "diverged", "out-of-memory")


def findings_of(stored: StoredStudy, names: list[str] | None, seed: int) -> list[tuple[dict[str, Any], list[Finding]]]:
    """Judge the hypotheses of a study, or those named, at each combination of its further factors.

    Raises:
        StudyError: the study is no designed one, or has cells that have not been run.
    """
    claim = stored.spec.claim
    if claim is None:
        raise StudyError(
            f"study {stored.spec.name!r} was searched, not designed: its pruned, adaptive trials decide no claim; "
            "a study file with [claim] in the place of [search] does"
        )
    records = patiently(lambda: records_of(stored.study))
    judged = names or list(claim.hypotheses)
    return [
        (stratum, judge(gather(surface, seed=seed, alpha=claim.alpha), judged, alpha=claim.alpha, margin=claim.margin))
        for stratum, surface in surfaces_of(stored.spec, records)
    ]


def surfaces_of(spec: StudySpec, records: list[TrialRecord]) -> Iterator[tuple[dict[str, Any], Surface]]:
    """The learning rate × batch size surface of each combination of the further factors."""
    assert spec.claim is not None
    space = spec.space
    factors = {name: levels_of(getattr(space, name)) for name in _STRATA}
    varied = [name for name, levels in factors.items() if len(levels) > 1]
    batch_sizes, base_lrs = (sorted(levels_of(getattr(space, name))) for name in _RIDGE)
    cells = {
        tuple(record.config[name] for name in (*varied, *_RIDGE)): record
        for record in records
        if record.outcome in _JUDGED and record.config
    }
    wanted = [
        (*stratum, batch_size, base_lr)
        for stratum in product(*(factors[name] for name in varied))
        for batch_size, base_lr in product(batch_sizes, base_lrs)
    ]
    missing = [cell for cell in wanted if cell not in cells]
    if missing:
        such = ", ".join(f"{name} {value}" for name, value in zip((*varied, *_RIDGE), missing[0], strict=True))
        raise StudyError(
            f"{len(missing)} of {len(wanted)} cells have no result yet, such as {such}; go on with batchlaw run"
        )
    sign = 1 if spec.direction == "maximize" else -1
    for stratum in product(*(factors[name] for name in varied)):
        grid = [[cells[*stratum, batch_size, base_lr] for batch_size in batch_sizes] for base_lr in base_lrs]
        runs = np.array([[_scores(spec, record) for record in row] for row in grid])  # (…, 2, replicates)
        scores, unstable = runs[:, :, 0], runs[:, :, 1] > 0
        # What is on the axis is the rate that the optimizer got.
        peak_lrs = np.array([row[0].config["peak_lr"] for row in grid])
        yield (
            dict(zip(varied, stratum, strict=True)),
            Surface(peak_lrs, np.array(batch_sizes, float), sign * scores, unstable),
        )


def _scores(spec: StudySpec, record: TrialRecord) -> tuple[list[float], list[bool]]:
    """The score of each replicate, and whether it was unstable: diverged, or no better than guessing.

    An unstable run counts with the score of guessing, which an untrained network has. How far beyond it a loss went
    says nothing about the batch size, and would swamp what the other seeds say.
    """
    values = record.replicate_values
    diverged = record.result.get("diverged", [record.outcome != "complete"] * len(values))
    if spec.task is None:
        return values, list(diverged)
    n_classes = DATASETS[spec.task.dataset].n_classes
    chance = {"validation_accuracy": 1 / n_classes, "validation_loss": math.log(n_classes)}
    error = math.sqrt((1 - 1 / n_classes) / n_classes / spec.task.n_validation)
    guessing = [
        m["validation_accuracy"] <= chance["validation_accuracy"] + 3 * error
        or m["validation_loss"] >= chance["validation_loss"]
        for m in record.result.get("replicates", [])
    ] or [True] * len(values)
    unstable = [left or guess for left, guess in zip(diverged, guessing, strict=True)]
    return [chance[spec.arm.metric] if u else value for value, u in zip(values, unstable, strict=True)], unstable
