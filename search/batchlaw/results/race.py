"""The race: contenders for the best of a search are trained on fresh seeds until the best is told from the rest.

A search chooses the luckiest of many noisy scores. So the last part of its budget trains the likeliest configurations
again. Seeds of the race choose among them; further seeds of the one that was chosen score it, and since these had no
part in the choice, its score is not flattered. A built-in task has other validation examples for each seed, too, since
those of the search favour the configurations that it found with them: the same examples are divided anew into training
and validation (a fold), alike for all contenders.

Everything here follows from the trials of the study, so that any number of workers can take part and a race goes on
after an interruption. What a worker has asked for and not finished counts as asked for.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count

import numpy as np

from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.results.search_run import Confirms, Purpose, SearchRun
from batchlaw.stats.surface import Floats

ALPHA = 0.05  # the chance that the best contender is dropped
SEARCH, RACE = 0.8, 0.95  # shares of the budget: until here the search, until here the race, then the score
FEWEST_TRIALS = 30  # a smaller budget is all search
_MOST_CONTENDERS, _TRIALS_A_CONTENDER = 8, 6  # one contender for so many complete trials
_MOST_SEEDS = 20  # fresh ones of a contender in the race
_SAME = 6  # fresh scores, of three values or more, that equal the search's: no chance
SCORED = 5  # fresh trials that score the chosen one
_FEWEST_FREE = 2  # degrees of freedom with which contenders are told apart
_CLOSE = 0.25  # standard errors of the difference by which a faster contender may be behind (measured: racing.py)


@dataclass
class Contender:
    """A configuration in the race."""

    number: int
    searched: Sequence[float]  # its scores in the search, one a seed
    seconds: float | None  # of one seed
    # By purpose: the folds of its trials, running ones too, and the scores that are known on each fold.
    asked: dict[Purpose, list[int]] = field(default_factory=lambda: defaultdict(list))
    found: dict[Purpose, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(dict))
    failed: bool = False  # it diverged, or was not trained to its end, on a fresh seed

    @property
    def raced(self) -> list[float]:
        """The scores that choose among contenders."""
        return [score for _, score in self.scores("race")]

    @property
    def fresh(self) -> list[float]:
        """The scores to report: those that had no part in the choice, if there are two or more."""
        scored = [score for _, score in self.scores("score")]
        return scored if len(scored) > 1 else self.raced

    def scores(self, purpose: Purpose) -> list[tuple[int, float]]:
        """Folds and scores: one a fold, whose seeds have its examples in common; without folds (0) one a seed."""
        found = self.found[purpose]
        return [
            (fold, score)
            for fold, scores in found.items()
            for score in (scores if fold == 0 else [sum(scores) / len(scores)])
        ]

    def next_fold(self, purpose: Purpose) -> int:
        """The first fold that it was not asked for; those that score it have no part in the race."""
        first = 1 if purpose == "race" else 1 + _MOST_SEEDS
        return next(fold for fold in count(first) if fold not in self.asked[purpose])


@dataclass(frozen=True)
class Race:
    """The state of a race."""

    contenders: dict[int, Contender]  # by the number of the trial that found the configuration
    sign: int  # 1 if the metric is maximized, -1 if it is minimized

    @classmethod
    def of(cls, runs: Sequence[SearchRun], *, maximize: bool) -> "Race":
        """The race as the trials of a study have it so far; without contenders if it has not begun."""
        by_number = {run.number: run for run in runs}
        contenders: dict[int, Contender] = {}
        for run in runs:
            if run.confirms is None or run.outcome == Outcome.LOST:
                continue
            number, purpose, fold = run.confirms
            searched = by_number[number]
            contender = contenders.setdefault(number, Contender(number, searched.scores, searched.seconds))
            contender.asked[purpose].append(fold)
            if run.outcome == Outcome.COMPLETE and run.value is not None:
                contender.found[purpose].setdefault(fold, []).extend(run.scores or [run.value])
            elif run.outcome in ENDED:
                contender.failed = True
        return cls(contenders, 1 if maximize else -1)

    @cached_property
    def timed(self) -> list[Contender]:
        """The contenders that can be compared: with two fresh scores or more, on folds that connect them."""
        several = [each for each in self.contenders.values() if len(each.raced) > 1 and not each.failed]
        groups: list[tuple[set[int], list[Contender]]] = []  # folds, and the contenders that were on them
        for each in several:
            folds = {fold for fold, _ in each.scores("race")}
            touched = [group for group in groups if group[0] & folds]
            groups = [group for group in groups if not group[0] & folds]
            groups.append((folds.union(*(group[0] for group in touched)), [*chain(*(g[1] for g in touched)), each]))
        return max((members for _, members in groups), key=len, default=[])

    @property
    def ignores_seeds(self) -> bool:
        """Whether fresh seeds gave the scores of the search to the last bit: the code takes no seed, or needs none."""
        pairs = [(each.searched, each.raced) for each in self.contenders.values() if each.raced]
        scores = [score for _, raced in pairs for score in raced]
        unmoved = all(len(set(raced)) == 1 and set(raced) == set(searched) for searched, raced in pairs)
        return len(scores) >= _SAME and len(set(scores)) > 2 and unmoved  # accuracies of few examples repeat

    @property
    def leader(self) -> Contender | None:
        """The contender with the best mean; None before there is one with two scores."""
        return max(self.timed, key=lambda each: (self.sign * self.means[each.number], -each.number), default=None)

    @property
    def chosen(self) -> Contender | None:
        """The fastest contender that is not behind the leader by more than a quarter of a standard error."""
        leader, fit = self.leader, self._fit
        if leader is None or self.ignores_seeds:
            return None
        first = self.timed.index(leader)
        close = [
            each
            for place, each in enumerate(self.timed)
            if self.sign * (fit.means[first] - fit.means[place]) <= _CLOSE * fit.error(first, place) or each is leader
        ]
        return min(close, key=lambda each: (float("inf") if each.seconds is None else each.seconds, each.number))

    @property
    def told_apart(self) -> set[int]:
        """The contenders that are worse than another one.

        The differences of all pairs are tested by Student's t at every number of scores n, at the level
        alpha / (k - 1) / (n (n - 1)) for k contenders. These levels add up to at most alpha over all looks and over
        the pairs of the best contender, which is therefore dropped with a chance of at most alpha. With one degree of
        freedom two equal differences are chance, where scores have few values.
        """
        from scipy import special

        worse = {each.number for each in self.contenders.values() if each.failed}
        timed, fit = self.timed, self._fit
        if fit.freedom < _FEWEST_FREE:
            return worse
        for i, one in enumerate(timed):
            for j, other in enumerate(timed):
                n, error = min(len(one.raced), len(other.raced)), fit.error(i, j)
                ahead = self.sign * (fit.means[j] - fit.means[i])
                level = ALPHA / max(len(timed) - 1, 1) / (n * (n - 1))
                if ahead > 0 and (error == 0 or special.stdtr(fit.freedom, -ahead / error) < level):
                    worse.add(one.number)
        return worse

    @cached_property
    def means(self) -> dict[int, float]:
        """Of those that can be compared, by number: as if each had been on every fold of the race."""
        return {each.number: mean for each, mean in zip(self.timed, self._fit.means, strict=True)}

    @cached_property
    def _fit(self) -> "_Fit":
        return _Fit.of(self.timed)

    def next(self, expected: Sequence[int], used: float) -> Confirms | None:
        """What to train next on a fresh seed; None if the search goes on.

        Args:
            expected: complete trials, the most promising first.
            used: share of the budget.
        """
        if used < SEARCH or self.ignores_seeds or not expected:
            return None
        if used < RACE and (racing := self._next_racer(expected)) is not None:
            known = self.contenders.get(racing)
            return Confirms(racing, "race", known.next_fold("race") if known else 1)
        if (chosen := self.chosen) is not None and len(chosen.asked["score"]) < SCORED:
            return Confirms(chosen.number, "score", chosen.next_fold("score"))
        return None

    def _next_racer(self, expected: Sequence[int]) -> int | None:
        """The contender with the fewest pairs of seeds that is not told to be worse, the most promising first.

        Pairs, since one score tells nothing of a contender: a race that is cut short has fewer contenders instead.
        """
        n = min(max(len(expected) // _TRIALS_A_CONTENDER, 2), _MOST_CONTENDERS)
        worse = self.told_apart
        among = [*expected[:n], *(number for number in self.contenders if number not in expected[:n])]
        left = [number for number in among if number not in worse]
        asked = {number: self._asked(number) for number in left}
        if len(left) < 2 or min(asked.values()) >= _MOST_SEEDS:
            return None
        return min(left, key=lambda number: (asked[number] // 2, -(asked[number] % 2)))

    def _asked(self, number: int) -> int:
        return len(self.contenders[number].asked["race"]) if number in self.contenders else 0


@dataclass(frozen=True, eq=False)
class _Fit:
    """Scores of a race as a mean of the contender, an effect of the fold and an error, by least squares."""

    means: tuple[float, ...]  # of n contenders, over all folds; where there is one fold, those of the scores
    spread: Floats  # (n, n) covariance of the means for errors of variance 1, but for what all have in common
    squares: Floats  # (n,) squared errors of each
    n_scores: Floats  # (n,) of each
    freedom: int

    @classmethod
    def of(cls, contenders: Sequence[Contender]) -> "_Fit":
        raced = [each.scores("race") for each in contenders]
        n, scores = len(contenders), np.array([score for each in raced for _, score in each])
        folds, where = np.unique([fold for each in raced for fold, _ in each], return_inverse=True)
        belongs = np.repeat(np.eye(n), [len(each) for each in raced], axis=0)
        design = np.concatenate([belongs, np.eye(len(folds))[where][:, 1:]], axis=1)
        spread = np.linalg.pinv(design.T @ design)
        effects = spread @ design.T @ scores
        # Rounded, so that equal scores have equal means.
        means = tuple(float(f"{mean:.12g}") for mean in effects[:n] + effects[n:].sum() / max(len(folds), 1))
        squares = (scores - design @ effects) ** 2 @ belongs
        freedom = len(scores) - int(np.linalg.matrix_rank(design)) if n else 0
        return cls(means, spread[:n, :n], squares, belongs.sum(axis=0), freedom)

    def error(self, one: int, other: int) -> float:
        """Of the difference of two means."""
        pair = [one, other]
        of_all = self.squares.sum() / max(self.freedom, 1)
        of_both = self.squares[pair].sum() / max(self.n_scores[pair].sum() - 2, 1)
        weights = self.spread[one, one] + self.spread[other, other] - 2 * self.spread[one, other]
        return float(np.sqrt(max(of_all, of_both) * weights))
