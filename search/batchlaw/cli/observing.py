"""How the command shows what was observed in runs that are too few for a verdict."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from batchlaw.cli.console import output

if TYPE_CHECKING:
    from batchlaw.claims.bests import Best
    from batchlaw.claims.observed import Observed

_MOST_ROWS = 16  # of a table on the screen; --json has all


def show_observed(seen: "Observed", stratum: dict[str, Any], *, in_full: bool) -> None:
    """Print what the runs of one part of a table show.

    Args:
        seen: what they show.
        stratum: what tells the part from others; empty where it is the only one.
        in_full: with the table of bests; else in sentences alone, as beside a verdict.
    """
    if stratum:
        output.print(", ".join(f"{key} {value}" for key, value in stratum.items()), style="bold", markup=False)
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
            told = "" if best.best is None else f"{best.best:.4g}"
            score = "" if best.score is None else f"{best.score:.6g}"
            grid.add_row(*(str(levels.get(name, "")) for name in fixed), f"{best.value:.4g}", told, _where(best), score)
        output.print(grid)
        if len(rows) > _MOST_ROWS:
            output.print(f"   and {len(rows) - _MOST_ROWS} rows more (--json)", style="dim", markup=False)


def _where(best: "Best") -> str:
    """Where the best lies among those tried, such as "highest of 5 tried"."""
    if best.best is None:
        return "every run diverged"
    if best.edge == "only":
        return "the only one tried"
    diverged = f", {best.n_diverged} diverged" if best.n_diverged else ""
    return f"{best.edge or 'inside,'} of {best.n_tried} tried{diverged}"
