"""The catalogue: what each hypothesis says, what is measured, and what would support or contradict it."""

from dataclasses import dataclass
from typing import Literal

from search.spec import Claim
from search.spec.arms import HypothesisName

MARGIN = 0.25  # of a slope: half of what separates the linear rule from the square root, the default of a study


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A claim, fixed before its runs."""

    name: HypothesisName
    statement: str
    statistic: str
    target: float | None = None  # of a slope; None where a share is judged
    direction: Literal["batch_size_at_lr", "lr_at_batch_size"]

    def supports(self, margin: float) -> str:
        """What would support it."""
        if self.target is None:
            return "at least 80 % of the learning rates have an identified optimum"
        return f"the slope's interval lies within [{self.target - margin:g}, {self.target + margin:g}]"

    def contradicts(self, margin: float) -> str:
        """What would contradict it."""
        if self.target is None:
            return "at least 80 % of the learning rates are shown flat, within one seed's standard deviation"
        return (
            f"the slope's interval excludes [{self.target - margin:g}, {self.target + margin:g}]; "
            f"no relation if it lies within [{-margin:g}, {margin:g}]"
        )


CATALOGUE: dict[str, Hypothesis] = {
    hypothesis.name: hypothesis
    for hypothesis in (
        Hypothesis(
            name="H6",
            statement="B × k calls for ε × k (the linear rule)",
            statistic="slope of log ε_opt on log B",
            target=1.0,
            direction="lr_at_batch_size",
        ),
        Hypothesis(
            name="H7",
            statement="keeping the variance calls for ε × √k",
            statistic="slope of log ε_opt on log B",
            target=0.5,
            direction="lr_at_batch_size",
        ),
        Hypothesis(
            name="H8",
            statement="at a fixed ε some B is best",
            statistic="share of learning rates that pass the identification gate",
            direction="batch_size_at_lr",
        ),
        Hypothesis(
            name="H9",
            statement="B_opt grows in proportion to ε",
            statistic="slope of log B_opt on log ε",
            target=1.0,
            direction="batch_size_at_lr",
        ),
    )
}


def preregistration(claim: Claim) -> list[dict[str, str]]:
    """What is fixed before the first run: each claim, what would support and what would contradict it."""
    entries = [CATALOGUE[name] for name in claim.hypotheses]
    return [
        {
            "hypothesis": entry.name,
            "statement": entry.statement,
            "statistic": entry.statistic,
            "supported_if": entry.supports(claim.margin),
            "contradicted_if": entry.contradicts(claim.margin),
        }
        for entry in entries
    ]
