"""What to do after a search, in a few lines: the end of a run, and the note on the study's page."""

from dataclasses import dataclass

from batchlaw.recipe.arguments import takes_seed
from batchlaw.results.columns import columns_of, text_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.standings import Standings
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS

_LABELS = {knob.name: knob.label for knob in KNOBS}
# How a line of few words tells what does not tell itself.
_SHORT = {"batch_size": "batch {}", "peak_lr": "peak lr {}", "warmup_fraction": "warmup {}"}


@dataclass(frozen=True)
class Answer:
    """The named configuration of a search, and what is left undecided."""

    spec: StudySpec
    configuration: Configuration
    n_tied: int  # how many others cannot be told from it
    undecided: tuple[tuple[str, tuple[str, ...]], ...]  # hyperparameters and their values that tie, the best first
    ignores_seeds: bool  # fresh seeds gave the same scores to the last bit

    @classmethod
    def of(cls, standings: Standings) -> "Answer | None":
        """The answer of a search; None of a designed study, or before a trial has completed."""
        spec, best = standings.spec, standings.best
        if spec.search is None or best is None:
            return None
        order = standings.order
        tied = [each for each in standings.configurations(order) if each.tied_with_best]
        undecided = []
        for name in spec.searched:
            values = dict.fromkeys(each.config.value_of(name) for each in tied)
            if name != "scaling_rule" and len(values) > 1 and all(isinstance(value, str) for value in values):
                undecided.append((name, tuple(values)))
        configuration = standings.configuration(best)
        return cls(spec, configuration, len(tied) - 1, tuple(undecided), standings.race.ignores_seeds)

    def lines(self) -> list[str]:
        """What to use, how good it is, and what is undecided."""
        config = self.configuration.config
        # At one batch size a rule only relabels the base rate, and the peak rate is told.
        names = [name for name in columns_of(self.spec) if name != "scaling_rule"]
        texts = [(name, text) for name in names if (text := text_of(config, name))]
        told = [_SHORT.get(name, "{}" if name in _LABELS else f"{name} {{}}").format(text) for name, text in texts]
        lines = [f"Use  {' · '.join(told) or f'trial {self.configuration.trial}'}", f"     {' · '.join(self._facts())}"]
        open_ = [f"{_LABELS.get(name, name)} ({', '.join(values)} tie)" for name, values in self.undecided]
        if "scaling_rule" in self.spec.searched:
            open_.insert(
                0, "scaling rule (tells nothing at one batch size; a designed study judges it: batchlaw transfer)"
            )
        return [*lines, *([f"Undecided: {'; '.join(open_)}"] if open_ else [])]

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
