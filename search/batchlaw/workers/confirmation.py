"""Whether the next trial of a search trains a contender for the best on fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from batchlaw.recipe.arguments import takes_seed
from batchlaw.recipe.result import Outcome
from batchlaw.results.posterior import expected_first
from batchlaw.results.race import FEWEST_TRIALS, SEARCH, Race
from batchlaw.results.records import confirms_of
from batchlaw.results.search_run import Confirms, SearchRun
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, with_retries
from batchlaw.storage.attributes import BREAKS, OUTCOME, RESULT
from batchlaw.workers.time_limit import TimeLimit

_OUTCOMES = {
    TrialState.COMPLETE: Outcome.COMPLETE, TrialState.PRUNED: Outcome.PRUNED, TrialState.FAIL: Outcome.FAILED,
    TrialState.RUNNING: Outcome.RUNNING, TrialState.WAITING: Outcome.WAITING,
}  # fmt: skip


@dataclass
class Confirmation:
    """The race of a search as one worker sees it.

    Every worker decides by the trials in the database, so none has to agree with another. Two that decide at once may
    train one contender twice, on different seeds of one fold.
    """

    spec: StudySpec
    limit: TimeLimit | None  # the race then has a share of the time
    _runs: list[SearchRun] = field(default_factory=list)
    _expected: list[int] = field(default_factory=list)
    _known: int = -1  # complete trials that `_expected` rests on

    def next(self, stored: StoredStudy) -> Confirms | None:
        """Whose configuration to train next on fresh seeds, and what for; None if the search goes on."""
        used = self._used(stored)
        if used < SEARCH:
            return None
        trials = with_retries(lambda: stored.study.get_trials(deepcopy=False))
        self._runs = [run_of(trial) for trial in trials]
        broken = {trial.number for trial in trials if trial.user_attrs.get(BREAKS)}
        searched = [run for run in self._runs if run.confirms is None and run.number not in broken]
        known = sum(run.outcome == Outcome.COMPLETE for run in searched)
        if known != self._known:
            self._expected, self._known = expected_first(searched, self.spec) or [], known
        found = Race.of(self._runs, maximize=self.spec.direction == "maximize").next(self._expected, used)
        return found if found is None or self.spec.has_folds else found._replace(fold=0)

    def params(self, number: int) -> Mapping[str, Any]:
        """The parameters of a trial, after `next` has named it."""
        return next(run.params for run in self._runs if run.number == number)

    def _used(self, stored: StoredStudy) -> float:
        """The share of the budget that is used, in trials or in time, whichever is the larger."""
        counts = with_retries(stored.slots.counts)
        # The slot that asks is held already, and not used.
        counted = counts.total >= FEWEST_TRIALS and not counts.open_ended
        share = (counts.done + counts.held - 1) / counts.total if counted else 0.0
        return share if self.limit is None else max(share, self.limit.used)


def confirmation_of(spec: StudySpec, limit: TimeLimit | None) -> Confirmation | None:
    """The race of a study from now on; None of one that has none."""
    if spec.search is None or not spec.search.confirm or not takes_seed(spec):
        return None
    return Confirmation(spec, limit)


def run_of(trial: FrozenTrial) -> SearchRun:
    """A trial as the race sees it."""
    attributes = trial.user_attrs
    named, result = attributes.get(OUTCOME), attributes.get(RESULT) or {}
    outcome = Outcome(named) if named and trial.state.is_finished() else _OUTCOMES[trial.state]
    value = trial.value if trial.state == TrialState.COMPLETE else None
    scores: Sequence[float] = result.get("replicate_values") or ()
    seconds = result.get("train_seconds") or result.get("seconds")
    return SearchRun(
        number=trial.number, outcome=outcome, value=value, scores=[] if None in scores else scores,
        params=trial.params, seconds=seconds and seconds / max(len(scores), 1), confirms=confirms_of(attributes),
    )  # fmt: skip
