"""Score against seconds: the fastest configuration for each score that a search has attained."""

from collections.abc import Sequence

from batchlaw.results.configuration import Configuration
from batchlaw.results.standings import TIE_ALPHA, Standings
from batchlaw.stats.comparison import welch_p_value


def front_of(standings: Standings) -> tuple[Configuration, ...]:
    """For each attained score the fastest configuration that cannot be told from it, the fastest first.

    A score is attained if no other complete trial is both faster and better. It is told from another one at the 5 %
    level, by Welch's test; where an error is not known, any difference tells. Scores are those on fresh seeds where
    there are any.

    Args:
        standings: of a study. Trials whose seconds are not known have no part in it.
    """
    timed = [each for each in standings.configurations(standings.order) if each.seconds_a_run is not None]
    sign = 1 if standings.spec.direction == "maximize" else -1
    attained: list[Configuration] = []
    for each in sorted(timed, key=lambda each: (each.seconds_a_run or 0.0, -sign * each.score)):
        if not attained or sign * each.score > sign * attained[-1].score:
            attained.append(each)
    fastest = (next(one for one in attained if one is each or not _told(one, each)) for each in attained)
    return tuple({each.trial: each for each in fastest}.values())


def _told(one: Configuration, other: Configuration) -> bool:
    """Whether the scores of two configurations are told from each other."""
    if one.score_error is None or other.score_error is None:
        return one.score != other.score
    p_value = welch_p_value(one.score, one.score_error, _seeds(one), other.score, other.score_error, _seeds(other))
    return p_value < TIE_ALPHA


def _seeds(each: Configuration) -> int:
    return len(each.fresh.scores) if each.fresh else each.n_replicates


def front_line(front: Sequence[Configuration]) -> str:
    """The front in a line."""
    return " · ".join(f"{each.score:.4f} in {each.seconds_a_run:.2g} s (trial {each.trial})" for each in front)
