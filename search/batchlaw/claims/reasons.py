"""The numbers that carry a verdict on a ridge, in words."""

from collections.abc import Sequence

import numpy as np

from batchlaw.claims.evidence import Direction
from batchlaw.stats.levels import WIDEST_OCTAVES, Level
from batchlaw.stats.optimum import CLOSED_OCTAVES, FEWEST_CLOSED
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools

_LISTED = 3  # levels that are named one by one


def how_found(side: Direction, slope: Slope) -> str:
    """How the slope of a direction was found."""
    n, given = len(side.ridge.given), plural(side.given_name)
    if slope.bounded and not side.ridge.copies:
        return (
            f"it is only bounded, by every line through the sets of all {given}, as the shape of the curves changes "
            f"along them"
        )
    if slope.bounded:
        return (
            f"it is only bounded, by every line through the sets of all {given}, as the best {side.tuned_name} is "
            f"known to within {WIDEST_OCTAVES:g} octaves at {side.ridge.identified.sum()} of {n}; to align the "
            f"curves takes {FEWEST_CLOSED} of them, over {CLOSED_OCTAVES:g} octaves"
        )
    x = np.log2(side.ridge.given)[closed(side)]
    live = sum(status not in ("diverged", "missing") for status in side.ridge.status)
    return (
        f"found by aligning the curves of {live} {given}, of which {len(x)}, over {octaves(float(np.ptp(x)))}, have an "
        "optimum that is bounded on both sides"
    )


def closed(side: Direction) -> Bools:
    """Which given levels have an optimum that their own runs bound on both sides, (n_given,)."""
    levels = [Level.of(side.cells, each) for each in side.ridge.given]
    return np.array([side.cells.replicated and bool(np.isfinite(level.own_set(side.alpha)).all()) for level in levels])


def uncounted(side: Direction) -> str:
    """At which levels less than an optimum is known, and why: "; …", or nothing."""
    told = {
        "left_censored": f"the best {side.tuned_name} is only bounded above at",
        "right_censored": f"the best {side.tuned_name} is only bounded below at",
        "diverged": "every run diverged at",
        "missing": "no run has a score at",
    }
    parts = []
    for status, words in told.items():
        levels = [value for value, found in zip(side.ridge.given, side.ridge.status, strict=True) if found == status]
        if levels:
            parts.append(f"; {words} {named(side.given_name, levels)}")
    return "".join(parts)


def named(name: str, levels: Sequence[float]) -> str:
    """Such as "2 learning rates (0.1, 0.2)"."""
    shown = [f"{level:.4g}" for level in levels]
    listed = ", ".join(shown) if len(shown) <= _LISTED else f"{shown[0]} … {shown[-1]}"
    return f"{len(levels)} {plural(name) if len(levels) != 1 else singular(name)} ({listed})"


def plural(name: str) -> str:
    """The levels of a factor, such as "learning rates"."""
    return f"levels of {name}" if name.endswith(("s", ")")) else f"{name}s"


def singular(name: str) -> str:
    """A level of a factor."""
    return f"level of {name}" if name.endswith(("s", ")")) else name


def octaves(number: float) -> str:
    """Rounded to a tenth: 3.9996 octaves are 4."""
    shown = f"{round(number, 1):g}"
    return "1 octave" if shown == "1" else f"{shown} octaves"
