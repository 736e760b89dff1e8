"""The best learning rate by batch size, as text for a terminal: the trials, the law, and the answer among them."""

import numpy as np
from rich.text import Text

from batchlaw.figures.ends import open_ends, tuned_range
from batchlaw.figures.text_plot import TextPlot
from batchlaw.laws.law import Law
from batchlaw.recipe.result import Outcome
from batchlaw.stats.optimum import Ridge

NEEDED = 80  # columns of a terminal on which it is shown unasked
WIDTH, HEIGHT = 60, 12  # of the plot
SIGNS = {"answer": "◆", "best": "●", "set": "┃", "down": "▼", "up": "▲", "diverged": "×", "trial": "⠂", "law": "⠒"}
_PLAIN = {"answer": "@", "best": "o", "set": "|", "down": "v", "up": "^", "diverged": "x", "trial": ".", "law": "."}
_BESIDE = 1.15  # factor from a batch size or a rate to the edge of the plot, where there are no sets
_PLACES = 4 * WIDTH  # points of the law's line


def law_text(law: Law, answer: tuple[int, float] | None = None, *, plain: bool = False) -> Text | None:
    """The figure of one law; None where it has fewer than two batch sizes.

    It shows what `batchlaw.figures.laws.law_figure` does of one law, and behind it the trials.

    Args:
        law: of a study or table; where there is none yet, its trials are drawn.
        answer: the batch size and the peak learning rate of the configuration to use, if it is of this law.
        plain: draw with ASCII alone.
    """
    signs = _PLAIN if plain else SIGNS
    known = [record for record in law.records if record.config and record.config.peak_lr and record.config.batch_size]
    trained = [r.known_config for r in known if r.outcome != Outcome.DIVERGED]
    diverged = [r.known_config for r in known if r.outcome == Outcome.DIVERGED]
    sizes = sorted({c.batch_size for c in (*trained, *diverged)} | set(law.ridge.given.tolist() if law.ridge else []))
    if len(sizes) < 2:
        return None
    rates = [config.peak_lr for config in (*trained, *diverged)]
    ends = tuned_range(law.ridge) if law.ridge else (min(rates) / _BESIDE, max(rates) * _BESIDE)
    plot = TextPlot((sizes[0] / _BESIDE, sizes[-1] * _BESIDE), ends, width=WIDTH, height=HEIGHT, plain=plain)
    shown, outside = [], 0
    if trained:
        outside = plot.dots([config.batch_size for config in trained], [config.peak_lr for config in trained], "dim")
        shown.append(f"{signs['trial']} trial")
    inside = [config for config in diverged if ends[0] <= config.peak_lr <= ends[1]]
    for config in inside:
        plot.mark(config.batch_size, config.peak_lr, signs["diverged"], "dim red")
    shown += [f"{signs['diverged']} diverged"] if inside else []
    if law.fitted is not None:
        x = np.geomspace(*law.fitted.seen, _PLACES)
        plot.dots(x.tolist(), (2 ** law.fitted.mean(np.log2(x))).tolist(), "cyan")
        shown.append(f"{signs['law']} law ({law.grade})")
    if law.ridge is not None:
        _draw_sets(plot, law.ridge, signs)
        shown.append(f"{signs['best']} best rate, {signs['set']} its {1 - law.alpha:.0%} set")
    if answer is not None:
        plot.mark(*answer, signs["answer"], "bold green")
        shown.append(f"{signs['answer']} the answer")
    if outside := outside + len(diverged) - len(inside):
        shown.append(f"{outside} beyond these rates")
    of = f" ({law.name})" if law.name else ""
    title = Text(f"The best peak learning rate by batch size in examples{of}")
    return Text("\n").join([title, *plot.lines(sizes), Text(("  " if plain else " · ").join(shown), "dim")])


def _draw_sets(plot: TextPlot, ridge: Ridge, signs: dict[str, str]) -> None:
    """Draw the set of each optimum; where it is open, an arrow at the edge."""
    bottom, top = tuned_range(ridge)
    columns = (ridge.given, ridge.status, 2**ridge.low, 2**ridge.high, 2**ridge.best, *open_ends(ridge))
    for size, status, low, high, best, down, up in zip(*columns, strict=True):
        if status in ("diverged", "missing"):
            continue
        style = "cyan" if status == "identified" else "dim"
        plot.bar(size, bottom if down else low, top if up else high, signs["set"], style)
        if down:
            plot.mark(size, bottom, signs["down"], style)
        if up:
            plot.mark(size, top, signs["up"], style)
        plot.mark(size, best, signs["best"], style)
