"""From evidence to a verdict."""

import pytest
from batchlaw.claims.evidence import gather
from batchlaw.claims.pooled import pool_findings
from batchlaw.claims.verdict import judge, slope_verdict
from batchlaw.stats.slope import Slope

from tests.unit.stats.conftest import planted

VERDICTS = [
    # target, interval, verdict
    (1.0, (0.9, 1.1), "supported"),
    (1.0, (0.75, 1.25), "supported"),
    (1.0, (0.74, 1.1), "inconclusive"),
    (1.0, (0.3, 0.7), "refuted"),
    (1.0, (1.3, 1.6), "refuted"),
    (1.0, (-0.2, 0.2), "no relation"),
    (1.0, (-0.6, -0.3), "refuted"),
    (1.0, (-0.2, 1.4), "inconclusive"),
    (0.5, (0.3, 0.7), "supported"),
    (0.5, (0.8, 1.2), "refuted"),
    (0.5, (-0.1, 0.2), "no relation"),
]


@pytest.mark.parametrize(("target", "interval", "verdict"), VERDICTS)
def test_the_rule_of_slopes(target, interval, verdict):
    slope = Slope(sum(interval) / 2, *interval, 0.1, 4)
    found, reason = slope_verdict(slope, target, 0.25, 0.0, 0.05)
    assert found == verdict and f"[{interval[0]:.2f}, {interval[1]:.2f}]" in reason


def test_support_must_survive_holm():
    slope = Slope(1.0, 0.8, 1.2, 0.07, 4)
    assert slope_verdict(slope, 1.0, 0.25, 0.025, 0.05)[0] == "supported"
    found, reason = slope_verdict(slope, 1.0, 0.25, 0.026, 0.05)
    assert found == "inconclusive" and "Holm" in reason


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        (1.0, {"H9": "supported", "H6": "supported", "H7": "refuted", "H8": "inconclusive"}),
        (0.5, {"H9": "refuted", "H8": "supported"}),
        (0.0, {"H9": "no relation", "H8": "supported"}),
    ],
)
def test_planted_ridges_get_their_verdicts(slope, expected):
    evidence = gather(planted(slope, noise=0.05)[0])
    found = {finding.hypothesis.name: finding.verdict for finding in judge(evidence, list(expected))}
    assert found == expected


def test_a_flat_surface_refutes_that_some_batch_size_is_best_and_says_nothing_of_slopes():
    flat, _ = planted(0.0, noise=1.0, curve=lambda off: 0 * off, seeds=20)
    found = {finding.hypothesis.name: finding for finding in judge(gather(flat), ["H6", "H7", "H8", "H9"])}
    assert found["H8"].verdict == "refuted"
    for name in ("H6", "H7", "H9"):
        assert (
            found[name].verdict == "inconclusive"
            and "0 of" in found[name].reason
            and "a slope needs 3" in found[name].reason
        )


def test_a_monotone_surface_is_inconclusive_and_says_where_to_look():
    monotone, _ = planted(0.0, noise=0.05, middle=-4.0)
    evidence = gather(monotone)
    finding = judge(evidence, ["H9"])[0]
    assert finding.verdict == "inconclusive"
    assert finding.settle == "batch sizes down to 1, 1 octave below those tried"  # and no smaller batch than that
    assert finding.reason.endswith("; the best batch size is only bounded above at 8 learning rates (0.003906 … 0.5)")
    rows = evidence.as_dict()["per_lr"]
    assert {row["status"] for row in rows} == {"left_censored"}
    assert all(row["ci_low"] is None and row["ci_high"] >= 4 for row in rows)


def test_hypotheses_judged_together_share_holms_correction():
    evidence = gather(planted(1.0, noise=0.2)[0])
    alone = judge(evidence, ["H9"])[0]
    together = judge(evidence, ["H9", "H6", "H7"])[0]
    assert alone.p_adjusted == alone.p_value == together.p_value < together.p_adjusted


def test_a_verdict_depends_on_the_runs_alone():
    surface, _ = planted(0.5, noise=0.2)
    one, other = (judge(gather(surface, seed=seed), ["H9"])[0] for seed in (1, 2))
    assert one.slope is not None and (one.slope, one.reason) == (other.slope, other.reason)


def test_both_slopes_of_one_line_multiply_to_one():
    assert gather(planted(1.0, noise=0.02)[0]).rho_squared == pytest.approx(1, abs=0.1)


def test_groups_are_pooled_with_a_prediction_interval():
    surfaces = [planted(slope, noise=0.1, seed=number)[0] for number, slope in enumerate((0.95, 1.0, 1.05, 1.0))]
    findings = [judge(gather(surface), ["H9"])[0] for surface in surfaces]
    pooled = pool_findings(findings)
    assert pooled.verdict == "supported" and pooled.pooled.prediction_low < pooled.pooled.ci_low < 1
    two = pool_findings(findings[:2])
    assert two.verdict == "inconclusive" and "pooling needs 3" in two.reason
    shares = pool_findings([judge(gather(surface), ["H8"])[0] for surface in surfaces])
    assert shares.verdict == "inconclusive" and "of 4 groups" in shares.reason
