"""What a report calls things."""

from dataclasses import dataclass

from batchlaw.spec import StudySpec
from batchlaw.spec.arms import Direction


@dataclass(frozen=True)
class Labels:
    """Of one study or file; scores are kept higher-is-better inside, and shown as they were."""

    title: str
    question: str
    score: str
    maximize: bool

    @property
    def direction(self) -> Direction:
        """Of the score."""
        return "maximize" if self.maximize else "minimize"


def labels_of(spec: StudySpec) -> Labels:
    """What a study calls things."""
    return Labels(spec.name, spec.question, spec.arm.metric, spec.direction == "maximize")
