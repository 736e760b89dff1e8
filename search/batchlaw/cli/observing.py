"""How the command shows what was observed in runs that are too few for a verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from batchlaw.cli.console import output
from batchlaw.results.plain import name_of, number, shown

if TYPE_CHECKING:
    from batchlaw.claims.bests import Best
    from batchlaw.claims.claim import Claim
    from batchlaw.claims.observed import Observed

_MOST_ROWS = 16  # of a table on the screen; --json has all
_MOST_PARTS = 3  # of a table of runs that are told of in words


def show_described(found: "Claim") -> None:
    """Print what the runs show of which no verdict was found: in full where they are only observed, else in words.

    Many parts are a table with a row each.
    """
    if len(found.descriptions) > _MOST_PARTS:
        _show_parts(found.descriptions)
        return
    for levels, seen in found.descriptions:
        show_observed(seen, levels if len(found.descriptions) > 1 else {}, in_full=found.grade == "observed")


def _show_parts(parts: "Sequence[tuple[dict[str, Any], Observed]]") -> None:
    names = list(dict.fromkeys(name for levels, _ in parts for name in levels))
    grid = Table(*names, "runs", "as", "best rate inside at", "best batch size inside at", box=None)
    for levels, seen in parts:
        inside = [_inside([best for _, best in seen.bests if best.given == given]) for given in ("batch_size", "lr")]
        grid.add_row(*(shown(levels.get(name, "")) for name in names), str(seen.n_runs), seen.kind, *inside)
    output.print(grid)
    shared = [sentence for sentence in parts[0][1].sentences if all(sentence in seen.sentences for _, seen in parts)]
    for sentence in shared:
        output.print(f"   seen: {sentence}", soft_wrap=True, markup=False)


def _inside(bests: "Sequence[Best]") -> str:
    """At how many levels the best lies inside those tried, such as "9 of 10 batch sizes"."""
    told = [best for best in bests if best.n_tried > 1]
    if not told:
        return "one tried"
    return f"{sum(best.best is not None and best.edge is None for best in told)} of {len(told)}"


def show_observed(seen: "Observed", stratum: dict[str, Any], *, in_full: bool) -> None:
    """Print what the runs of one part of a table show.

    Args:
        seen: what they show.
        stratum: what tells the part from others; empty where it is the only one.
        in_full: with the table of bests; else in sentences alone, as beside a verdict.
    """
    if stratum:
        output.print(name_of(stratum), style="bold", markup=False)
    for sentence in seen.sentences:
        output.print(f"   seen: {sentence}", soft_wrap=True, markup=False)
    if not in_full or not seen.bests:
        return
    fixed = list(dict.fromkeys(name for levels, _ in seen.bests for name in levels))
    for given, titles in (
        ("batch_size", ("batch size", "best rate tried")),
        ("lr", ("learning rate", "best batch size tried")),
    ):
        rows = [(levels, best) for levels, best in seen.bests if best.given == given]
        if not rows:
            continue
        grid = Table(*fixed, *titles, "", "score", box=None)
        for levels, best in rows[:_MOST_ROWS]:
            told = "" if best.best is None else number(best.best)
            score = "" if best.score is None else f"{best.score:.6g}"
            grid.add_row(
                *(shown(levels.get(name, "")) for name in fixed),
                "not told" if best.value != best.value else number(best.value),
                told,
                _where(best),
                score,
            )
        output.print(grid)
        if len(rows) > _MOST_ROWS:
            output.print(f"   and {len(rows) - _MOST_ROWS} rows more (--json)", style="dim", markup=False)


def _where(best: "Best") -> str:
    """Where the best lies among those tried, such as "highest of 5 tried"."""
    if best.best is None:
        return "every run diverged" if best.n_diverged else f"all {best.n_tried} the same" if best.n_tried > 1 else ""
    if best.edge == "only":
        return "the only one tried"
    diverged = f", {best.n_diverged} diverged" if best.n_diverged else ""
    return f"{best.edge or 'inside,'} of {best.n_tried} tried{diverged}"
