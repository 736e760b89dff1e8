"""The best configurations of a study as a sequence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

from batchlaw.results.columns import USUAL, columns_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.notebook import notebook_html
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Ranking(Sequence[Configuration]):
    """The best configurations of a study, the best first: a sequence of `Configuration` that shows itself as a table.

    `tied_with_best` says whether a configuration cannot be told from the best at the 5 % level.
    """

    study: str
    metric: str
    configurations: tuple[Configuration, ...]
    columns: tuple[str, ...] = USUAL  # hyperparameters that the table shows
    what: str = "Best configurations"

    @overload
    def __getitem__(self, index: int) -> Configuration: ...

    @overload
    def __getitem__(self, index: slice) -> "Ranking": ...

    def __getitem__(self, index: int | slice) -> "Configuration | Ranking":
        found = self.configurations[index]
        return replace(self, configurations=found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self.configurations)

    @property
    def frame(self) -> "pd.DataFrame":
        """A row a configuration."""
        import pandas as pd

        rows = [
            {
                "trial": each.trial, self.metric: each.score, "standard_error": each.score_error,
                "fresh_seeds": len(each.fresh.scores) if each.fresh else 0, "tied_with_best": each.tied_with_best,
                "seconds": each.seconds_a_run,
                **{name: each.config.value_of(name) for name in self.columns},
            }
            for each in self.configurations
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        if not self.configurations:
            return f"study {self.study!r} has no completed trial yet"
        return f"{self.what} of {self.study} by {self.metric}\n{self.frame.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return notebook_html(f"{self.what} of {self.study} by {self.metric}", (), self.frame)


def ranking(records: Sequence[TrialRecord], spec: StudySpec, n: int) -> Ranking:
    """The n best completed trials, or as many as there are."""
    standings = Standings(spec, records)
    found = tuple(standings.configurations(standings.order[:n]))
    return Ranking(spec.name, spec.arm.metric, found, columns_of(spec))
