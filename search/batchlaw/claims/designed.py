"""From the runs of a designed study to findings."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.evidence import gather, gather_adaptive
from batchlaw.claims.hypotheses import CATALOGUE, Given
from batchlaw.claims.overall import JUDGES
from batchlaw.claims.runs import adaptive_runs_of, runs_of, varied_factors
from batchlaw.claims.training_curves import oscillation_above
from batchlaw.claims.verdict import Finding, judge
from batchlaw.errors import StudyError
from batchlaw.results.records import TrialRecord, records_of
from batchlaw.spec import StudySpec, levels_of, parse_spec
from batchlaw.stats.surface import Surface
from batchlaw.storage import StoredStudy, with_retries

Block = list[tuple[dict[str, Any], list[Finding]]]  # strata of one kind of surface, each with its findings

_AXES: dict[Given, tuple[str, str]] = {  # the factor, and the column that is on the axis
    "lr": ("base_lr", "peak_lr"),  # what the optimizer got
    "train_size": ("train_size", "train_size"),
    "inverse_damping": ("momentum", "inverse_damping"),
}


def findings_of(
    stored: StoredStudy, names: list[str] | None, seed: int, records: list[TrialRecord] | None = None
) -> list[Block]:
    """Judge the hypotheses of a study, or those named, which share Holm's correction with the study's own all the same.

    Those about a ridge come in a block for each given factor, judged at each combination of the further factors; the
    others in a block of one, judged on all runs.

    Args:
        stored: the study.
        names: of hypotheses; None are the study's own.
        seed: of the bootstraps.
        records: its trials, from where they are known already.

    Raises:
        StudyError: the study is no designed one, or has cells that have not been run.
        SpecError: a named hypothesis asks for levels that the study does not have.
    """
    spec, claim = stored.spec, stored.spec.claim
    if claim is None:
        raise StudyError(
            f"study {spec.name!r} was searched, not designed: its pruned, adaptive trials decide no claim; "
            "a study file with [claim] in the place of [search] does"
        )
    if names:
        table = spec.model_dump(mode="json", exclude_none=True)
        parse_spec(table | {"claim": table["claim"] | {"hypotheses": names}}, f"study {spec.name!r}")
    records = with_retries(lambda: records_of(stored)) if records is None else records
    if claim.design == "adaptive":
        return [[({}, _of_adaptive(spec, records, seed))]]
    runs = runs_of(spec, records)
    judged = list(dict.fromkeys([*claim.hypotheses, *(names or ())]))
    blocks: list[Block] = []
    for given in dict.fromkeys(CATALOGUE[name].given for name in judged):
        chosen = [name for name in judged if CATALOGUE[name].given == given]
        if given is None:
            generator = np.random.default_rng(seed)
            overall = [JUDGES[name](CATALOGUE[name], runs, spec, generator) for name in chosen]
            blocks.append([({}, overall)])
            continue
        blocks.append(
            [
                (
                    stratum,
                    [
                        _with_oscillation(finding, runs, stratum, claim.alpha)
                        for finding in judge(
                            gather(surface, given, seed=seed, alpha=claim.alpha),
                            chosen, alpha=claim.alpha, margin=claim.margin,
                        )
                    ],
                )
                for stratum, surface in surfaces_of(spec, runs, given)
            ]
        )  # fmt: skip
    if not names:
        return blocks
    kept = [
        [
            (
                stratum,
                [
                    replace(f, preregistered=f.hypothesis.name in claim.hypotheses)
                    for f in findings if f.hypothesis.name in names
                ],
            )
            for stratum, findings in block
        ]
        for block in blocks
    ]  # fmt: skip
    return [block for block in kept if block[0][1]]


def _of_adaptive(spec: StudySpec, records: list[TrialRecord], seed: int) -> list[Finding]:
    """The hypotheses of an adaptive design."""
    claim, runs = spec.claim, adaptive_runs_of(spec, records)
    assert claim is not None
    tuned = np.array(levels_of(spec.space.batch_size), float)
    evidence = gather_adaptive(runs, np.sort(tuned), seed=seed, alpha=claim.alpha)
    findings = judge(evidence, list(claim.hypotheses), alpha=claim.alpha, margin=claim.margin)
    return [replace(f, reason=f"{f.reason}; adaptive design, {len(runs.scores)} runs") for f in findings]


def _with_oscillation(finding: Finding, runs: pd.DataFrame, stratum: dict[str, Any], alpha: float) -> Finding:
    """H19 with what happens above the best rate; others as they are."""
    if finding.hypothesis.name != "H19":
        return finding
    part = runs[(runs[list(stratum)] == pd.Series(stratum)).all(axis=1)]
    found = oscillation_above(finding.side.ridge, part, alpha)
    if found is None:
        return finding
    ratio, low, high = np.exp([found.difference, found.ci_low, found.ci_high]).tolist()
    reason = (
        f"{finding.reason}; an octave above the best rate the loss at the end varies {ratio:.3g} [{low:.3g}, "
        f"{high:.3g}] times as much from step to step"
    )
    details = {"variance_above_best": {"ratio": ratio, "ci_low": low, "ci_high": high}}
    return replace(finding, reason=reason, details=details)


def surfaces_of(spec: StudySpec, runs: pd.DataFrame, given: Given) -> Iterator[tuple[dict[str, Any], Surface]]:
    """The surface of batch size over the given factor, at each combination of the further factors."""
    factor, axis = _AXES[given]
    others = [name for name in varied_factors(spec) if name not in ("batch_size", factor)]
    parts = runs.groupby(others, sort=True) if others else [((), runs)]
    for levels, part in parts:
        ordered = part.sort_values([axis, "batch_size", "replicate"])
        given_levels, tuned = np.unique(ordered[axis]), np.unique(ordered["batch_size"])
        shape = (len(given_levels), len(tuned), spec.arm.replicates)
        yield (
            dict(zip(others, levels, strict=True)),
            Surface(
                given_levels.astype(float),
                tuned.astype(float),
                ordered["score"].to_numpy(float).reshape(shape),
                ordered["unstable"].to_numpy(bool).reshape(shape),
            ),
        )
