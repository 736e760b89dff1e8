"""The end of a search before its budget is spent, once going on would hardly gain."""

import math
from dataclasses import dataclass

from batchlaw.recipe.result import Outcome
from batchlaw.results.gain import gain_of
from batchlaw.results.race import FEWEST_TRIALS, SEARCH
from batchlaw.spec.arms import Stop
from batchlaw.storage import StoredStudy, note_stop, with_retries
from batchlaw.storage.attributes import BREAKS
from batchlaw.workers.confirmation import Confirmation, run_of
from batchlaw.workers.time_limit import TimeLimit

_EVERY = 5  # complete trials between two looks, each of which fits a model


@dataclass
class Stopping:
    """The rule `search.stop` as one worker follows it.

    Every worker decides by the trials in the database. The first that finds the rule fulfilled cuts the budget to what
    has begun, and to the race on fresh seeds that a budget of this size ends with; a larger budget goes on later.
    """

    stored: StoredStudy
    rule: Stop
    confirmation: Confirmation | None
    limit: TimeLimit | None
    _known: int = 0  # complete trials at the last look

    def look(self) -> None:
        """Cut the budget if the rule says so."""
        counts = with_retries(self.stored.slots.counts)
        begun = counts.done + counts.held
        total = counts.total
        if counts.open_ended and self.limit is not None:  # as many as the time will see, at the pace so far
            total = math.ceil(begun / max(self.limit.used, 1e-9))
        races = self.confirmation is not None and total >= FEWEST_TRIALS
        budget = max(math.ceil(begun / SEARCH), FEWEST_TRIALS) if races else begun
        if budget >= total:
            return
        trials = with_retries(lambda: self.stored.study.get_trials(deepcopy=False))
        kept = (trial for trial in trials if not trial.user_attrs.get(BREAKS))
        runs = [run for run in map(run_of, kept) if run.confirms is None]
        known = sum(run.outcome == Outcome.COMPLETE for run in runs)
        if known < self._known + _EVERY:
            return
        self._known = known
        further = (math.floor(SEARCH * total) if races else total) - begun
        gain = gain_of(runs, self.stored.spec, further, self.rule.confidence)
        if gain is not None and gain.high < self.rule.gain:
            note_stop(self.stored, {"begun": begun, "trials": total, "high": gain.high})
            self.stored.slots.resize(budget, grow=False)  # another worker may have cut it just now


def stopping_of(stored: StoredStudy, confirmation: Confirmation | None, limit: TimeLimit | None) -> Stopping | None:
    """The rule of a study; None where it has none."""
    search = stored.spec.search
    return None if search is None or search.stop is None else Stopping(stored, search.stop, confirmation, limit)
