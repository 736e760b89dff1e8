"""A winner trained again on fresh seeds, and scored once on test data."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error."""

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The score that the search reported beside the score on fresh seeds."""

    trial: int
    metric: str
    n_seeds: int
    search_value: float
    fresh: Estimate  # over the fresh seeds
    optimism: Estimate  # search_value less fresh, with the sign that makes a flattering search positive
    test: tuple[str, Estimate] | None = None  # the metric of the test data; None of a training function of one's own

    def as_dict(self) -> dict[str, Any]:
        """For JSON, YAML, TOML and CSV."""
        facts = asdict(self)
        del facts["test"]
        return facts | ({"test": {"metric": self.test[0], **asdict(self.test[1])}} if self.test else {})

    def line(self) -> str:
        """One sentence for people."""
        test = f"; {self.test[0]} {self.test[1]}" if self.test else ""
        return (
            f"Verified on {self.n_seeds} fresh seeds: {self.metric} {self.fresh}; "
            f"the search reported {self.search_value:.4f}, an optimism of {self.optimism}{test}."
        )
