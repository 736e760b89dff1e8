"""The verdicts of a study or file, as pages show them beside figures."""

from typing import Any

from batchlaw.claims.designed import Block
from batchlaw.claims.hypotheses import tuned_at
from batchlaw.claims.pooled import PooledFinding, pool_findings
from batchlaw.claims.verdict import Finding
from batchlaw.results.plain import name_of


def pooled(judged: list[Block]) -> list[PooledFinding]:
    """The pooled verdict on each hypothesis of each block that has several strata."""
    return [
        pool_findings(list(column))
        for block in judged
        if len(block) > 1
        for column in zip(*(findings for _, findings in block), strict=True)
    ]


def verdict_of_each(judged: list[Block]) -> dict[str, str]:
    """The verdict on each hypothesis, pooled over strata if there are several."""
    single: dict[str, str] = {finding.hypothesis.name: finding.verdict for block in judged for finding in block[0][1]}
    return single | {finding.hypothesis.name: finding.verdict for finding in pooled(judged)}


def part_of(stratum: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """The content of a page for one surface, or for the hypotheses about all runs, without figures."""
    evidence = findings[0].evidence
    part: dict[str, Any] = {"name": name_of(stratum), "findings": findings, "evidence": None}
    if evidence is not None:
        record = evidence.as_dict()
        part |= {
            "evidence": {"reverse": None, "rho_squared": None, **record},
            "given": evidence.forward.given_name,
            "tuned": evidence.forward.tuned_name,
            "levels": [
                {**row, "given": row[evidence.given], "best": row[f"{tuned_at(evidence.given)}_opt"]}
                for row in record[f"per_{evidence.given}"]
            ],
        }
    return part
