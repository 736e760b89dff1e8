"""What a report calls things."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Labels:
    """Of one study or file; scores are kept higher-is-better inside, and shown as they were."""

    title: str
    question: str
    score: str
    maximize: bool
