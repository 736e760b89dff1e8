"""From the runs of a designed study to findings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.claims.evidence import gather, gather_adaptive
from batchlaw.claims.hypotheses import CATALOGUE, Given
from batchlaw.claims.overall import JUDGES, OF_EVERY_CELL
from batchlaw.claims.replicates import check_identical
from batchlaw.claims.runs import adaptive_runs_of, runs_of
from batchlaw.claims.surfaces import surfaces_of
from batchlaw.claims.training_curves import oscillation_above
from batchlaw.claims.verdict import Finding, judge
from batchlaw.errors import StudyError
from batchlaw.results.records import KnownTrials, known_trials
from batchlaw.spec import StudySpec, levels_of, parse_spec
from batchlaw.storage import StoredStudy

Block = list[tuple[dict[str, Any], list[Finding]]]  # the strata of one kind of surface, each with its findings


def findings_of(
    stored: StoredStudy, names: list[str] | None, seed: int, known: KnownTrials | None = None
) -> list[Block]:
    """Judge the hypotheses of a study, or only those named, which share Holm's correction with the study's own.

    Hypotheses about a ridge are judged on a surface for each combination of the further factors, and have a block for
    each given factor. The others are judged on all runs together, in one block.

    Args:
        stored: the study.
        names: of hypotheses; None judges the study's own.
        seed: of the bootstraps.
        known: its trials, where they have been read already.

    Raises:
        StudyError: the study was searched, or has cells without a result.
        SpecError: a named hypothesis needs levels that the study does not have.
    """
    spec, claim = stored.spec, stored.spec.claim
    if claim is None:
        raise StudyError(
            f"study {spec.name!r} was searched: its adaptive, pruned trials decide no claim; "
            "a study file with [claim] in place of [search] does"
        )
    if names:
        table = spec.model_dump(mode="json", exclude_none=True)
        parse_spec(table | {"claim": table["claim"] | {"hypotheses": names}}, f"study {spec.name!r}")
    known = known or known_trials(stored)
    if claim.design == "adaptive":
        return [[({}, _of_adaptive(spec, known, seed))]]
    runs = runs_of(spec, known.records, ended=known.ended)
    judged = list(dict.fromkeys([*claim.hypotheses, *(names or ())]))
    blocks: list[Block] = []
    for given in dict.fromkeys(CATALOGUE[name].given for name in judged):
        together = [name for name in judged if CATALOGUE[name].given == given]
        if names and not set(names) & set(together):
            continue
        found = (
            _of_all_runs(spec, runs, together, seed) if given is None else _of_ridges(spec, runs, given, together, seed)
        )
        blocks.append([(stratum, _asked_for(findings, names, claim.hypotheses)) for stratum, findings in found])
    return blocks


def _of_all_runs(spec: StudySpec, runs: pd.DataFrame, names: list[str], seed: int) -> Block:
    """Hypotheses that are not about a ridge."""
    generator = np.random.default_rng(seed)
    there = runs["score"].notna()
    n_missing = int((~there).sum()) // spec.arm.replicates
    findings = []
    for name in names:
        if n_missing and name in OF_EVERY_CELL:
            reason = f"{n_missing} of {len(runs) // spec.arm.replicates} combinations of the levels have no score"
            findings.append(Finding(CATALOGUE[name], "inconclusive", reason, "levels at which every run can be made"))
        else:
            findings.append(JUDGES[name](CATALOGUE[name], runs[there], spec, generator))
    return [({}, findings)]


def _of_ridges(spec: StudySpec, runs: pd.DataFrame, given: Given, names: list[str], seed: int) -> Block:
    """Hypotheses about the ridge of each surface with a given factor.

    Raises:
        CopiesError: the user's code gives the same scores with every seed.
    """
    claim = spec.claim
    assert claim is not None
    block: Block = []
    seeds = [f"replicate {replicate}" for replicate in range(claim.replicates)]
    for stratum, surface in surfaces_of(spec, runs, given):
        if spec.user_code is not None:
            check_identical(surface, seeds, f"study {spec.name}: ")
        evidence = gather(surface, given, seed=seed, alpha=claim.alpha)
        if spec.is_staggered:  # which tells nothing of the best learning rate at one batch size
            evidence = replace(evidence, reverse=None)
        findings = judge(evidence, names, alpha=claim.alpha, margin=claim.margin)
        block.append((stratum, [_with_oscillation(finding, runs, stratum, claim.alpha) for finding in findings]))
    return block


def _asked_for(findings: list[Finding], names: list[str] | None, own: Sequence[str]) -> list[Finding]:
    """The findings on the named hypotheses, if any are; one that is not among the study's own is marked so."""
    if not names:
        return findings
    return [
        replace(finding, preregistered=finding.hypothesis.name in own)
        for finding in findings
        if finding.hypothesis.name in names
    ]


def _of_adaptive(spec: StudySpec, known: KnownTrials, seed: int) -> list[Finding]:
    """The hypotheses of an adaptive design."""
    claim, runs = spec.claim, adaptive_runs_of(spec, known.records, ended=known.ended)
    assert claim is not None
    tuned = np.array(levels_of(spec.space.batch_size), float)
    evidence = gather_adaptive(runs, np.sort(tuned), seed=seed, alpha=claim.alpha)
    findings = judge(evidence, list(claim.hypotheses), alpha=claim.alpha, margin=claim.margin)
    return [replace(f, reason=f"{f.reason}; adaptive design, {len(runs.scores)} runs") for f in findings]


def _with_oscillation(finding: Finding, runs: pd.DataFrame, stratum: dict[str, Any], alpha: float) -> Finding:
    """Adds to H19 how much the final loss oscillates above the best learning rate; others stay as they are."""
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
