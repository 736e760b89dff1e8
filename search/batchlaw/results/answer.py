"""What to do after a search, in a few lines: the end of a run, and the note on the study's page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from batchlaw.recipe.arguments import takes_seed
from batchlaw.recipe.result import ENDED
from batchlaw.results.columns import columns_of, text_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.front import front_line, front_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS

_LABELS = {knob.name: knob.label for knob in KNOBS}
_SHORT = {"batch_size": "batch", "peak_lr": "peak lr", "warmup_fraction": "warmup"}  # in a line of few words
_FEWEST = 5  # trials of a value that tell something of it (assumption): one unlucky trial is no verdict


@dataclass(frozen=True)
class Undecided:
    """A hyperparameter of which the search does not tell the best value."""

    name: str
    ties: tuple[str, ...]  # values that cannot be told from the named one, which is the first of them
    too_few: tuple[str, ...]  # values with too few trials to tell

    def __str__(self) -> str:
        parts = [f"{', '.join(self.ties)} tie"] * (len(self.ties) > 1)
        if self.too_few:
            parts.append(f"too few trials to tell of {', '.join(self.too_few)}")
        return f"{_LABELS.get(self.name, self.name)} ({'; '.join(parts)})"


@dataclass(frozen=True)
class Answer:
    """The named configuration of a search, and what is left undecided."""

    spec: StudySpec
    configuration: Configuration
    n_tied: int  # how many others cannot be told from it
    undecided: tuple[Undecided, ...]
    ignores_seeds: bool  # fresh seeds gave the same scores to the last bit
    front: tuple[Configuration, ...] = ()  # of a search against seconds

    @classmethod
    def of(cls, standings: Standings) -> "Answer | None":
        """The answer of a search; None of a designed study, or before a trial has completed."""
        spec, best = standings.spec, standings.best
        if spec.search is None or best is None:
            return None
        order = standings.order
        tied = [each for each in standings.configurations(order) if each.tied_with_best]
        undecided = [_undecided(name, standings, best, tied) for name in spec.searched if name != "scaling_rule"]
        configuration = standings.configuration(best)
        front = front_of(standings) if spec.search.against else ()
        return cls(
            spec, configuration, len(tied) - 1, tuple(filter(None, undecided)), standings.race.ignores_seeds, front
        )

    def lines(self) -> list[str]:
        """What to use, how good it is, and what is undecided."""
        config = self.configuration.config
        # At one batch size a rule only relabels the base rate, and the peak rate is told.
        names = [name for name in columns_of(self.spec) if name != "scaling_rule"]
        texts = [(name, text) for name in names if (text := text_of(config, name))]
        told = [f"{self._label(name)}{text}" for name, text in texts]
        lines = [f"Use  {' · '.join(told) or f'trial {self.configuration.trial}'}", f"     {' · '.join(self._facts())}"]
        if self.front:
            lines.append(f"Fastest for its score  {front_line(self.front)}")
        open_ = list(map(str, self.undecided))
        if "scaling_rule" in self.spec.searched:
            open_.insert(
                0, "scaling rule (tells nothing at one batch size; a designed study judges it: batchlaw transfer)"
            )
        return [*lines, *([f"Undecided: {'; '.join(open_)}"] if open_ else [])]

    def _label(self, name: str) -> str:
        """What stands before a value; nothing before a word that tells itself, such as an optimizer."""
        if name in _LABELS and isinstance(self.configuration.config.value_of(name), str):
            return ""
        return f"{_SHORT.get(name) or _LABELS.get(name, name)} "

    def _facts(self) -> list[str]:
        found, facts = self.configuration, []
        if found.fresh is not None:
            n = len(found.fresh.scores)
            facts.append(f"{found.fresh.mean:.4f} ± {found.fresh.error:.4f} on {n} fresh seeds")
        else:
            error = "" if found.standard_error is None else f" ± {found.standard_error:.4f}"
            facts.append(f"{found.value:.4f}{error} in the search ({self._why()})")
        if found.seconds_a_run is not None:
            facts.append(f"{found.seconds_a_run:.2g} s a run")
        if self.n_tied:
            facts.append(f"{self.n_tied} other{'s' * (self.n_tied != 1)} cannot be told from it")
        return facts

    def _why(self) -> str:
        """Why there are no fresh seeds."""
        if self.ignores_seeds:
            return "your code gives the same score with every seed"
        if not takes_seed(self.spec):
            return "the command takes no {seed}, so none was tried afresh"
        return "flattered by its selection; no fresh seeds"


def _undecided(name: str, standings: Standings, best: TrialRecord, tied: Sequence[Configuration]) -> Undecided | None:
    """What is open of a choice between names; None of a number, or where the search decides."""
    values = standings.spec.values_of(name)
    if not all(isinstance(value, str) for value in values):
        return None
    trials = Counter(
        record.config.value_of(name)
        for record in standings.records
        if record.config is not None and record.confirms is None and record.outcome in ENDED
    )
    named = best.known_config.value_of(name)
    too_few = tuple(value for value in values if value != named and trials[value] < _FEWEST)
    found = dict.fromkeys([named, *(each.config.value_of(name) for each in tied)])
    ties = tuple(value for value in found if value is not None and value not in too_few)
    return Undecided(name, ties, too_few) if len(ties) > 1 or too_few else None
