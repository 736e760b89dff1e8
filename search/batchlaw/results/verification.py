"""What was found of a winner that was trained again on fresh seeds."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


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
    seeds: tuple[int, ...] | None = None  # the fresh ones; None of a program that takes no seed
    test: tuple[str, Estimate] | None = None  # the metric of the test data; None of the user's own code
    scored_by: Literal["program", "function"] | None = None  # the user's own code; None of a built-in task
    same: bool = False  # whether all runs gave the same score, to the last bit

    def as_dict(self) -> dict[str, Any]:
        """For JSON, YAML, TOML and CSV."""
        facts = {name: value for name, value in asdict(self).items() if value is not None}
        facts |= {"seeds": list(self.seeds)} if self.seeds else {}
        return facts | ({"test": {"metric": self.test[0], **asdict(self.test[1])}} if self.test else {})

    def line(self) -> str:
        """For people: what was found, on which seeds, and on whose data."""
        if self.seeds is None:
            on = f"by {self.n_seeds} further runs (the command takes no {{seed}})"
        else:
            on = f"on {self.n_seeds} fresh seeds ({', '.join(map(str, self.seeds[:5]))}{', …' * (self.n_seeds > 5)})"
        test = f"; {self.test[0]} {self.test[1]}" if self.test else ""
        told = (
            f"Verified {on}: {self.metric} {self.fresh}; "
            f"the search reported {self.search_value:.4f}, an optimism of {self.optimism}{test}."
        )
        if self.same:
            told += " All runs gave the same score to the last bit, so that they tell nothing of its spread."
        if self.scored_by is not None:
            told += f" Both scores are the {self.scored_by}'s own, on the data that it scores; no test data was scored."
        return told
