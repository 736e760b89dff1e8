"""What published rules say of weight decay, β₂ and warmup for a planned run; the runs themselves do not tell them.

A rule moves the value of the runs from the best pair of the nearest group (B₀, ε₀, horizon D₀) to the plan:

- weight decay keeps AdamW's timescale τ = B/(ελD) (arXiv:2405.13698): λ = λ₀ · (B/B₀) (ε₀/ε) (D₀/D). The best τ falls
  as a power of D/N (arXiv:2505.13738), which this leaves out;
- β₂ keeps its half-life in examples (arXiv:2507.07101): β₂ = β₂₀^(B/B₀), but at least .95, the lowest that was best in
  a sweep up to B = 512 (marin-community/marin#4567): unbounded, .999 at B = 32 becomes .13 at 65,536;
- warmup is linear over 2/(1 - β₂) steps (Ma & Yarats, arXiv:1910.04209).
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from batchlaw.tables.reading import ReadTable

BETA2_FLOOR = 0.95
_BETA2 = 0.999  # PyTorch's, where the runs do not tell it
_WEIGHT_DECAY = ({"weight", "decay"}, {"wd"}, {"weightdecay"})
_BETA2_NAMES = ({"beta2"}, {"beta", "2"}, {"adam", "beta2"}, {"adam", "beta", "2"}, {"b2"})


class Companion(NamedTuple):
    """A hyperparameter beside batch size and learning rate."""

    name: str
    value: float | None  # by the rule; None where the rule has nothing to move
    rule: str


class Known(NamedTuple):
    """What all runs had; None where a table does not tell it, or runs differ."""

    weight_decay: float | None = None
    beta2: float | None = None


NOTHING = Known()


def known_of(runs: "ReadTable") -> Known:
    """The weight decay and β₂ of a table, by the names of its columns."""
    from batchlaw.tables.names import words_of
    from batchlaw.tables.spelling import typed

    found = []
    for patterns in (_WEIGHT_DECAY, _BETA2_NAMES):
        levels = set[float]()
        for name in runs.table.columns:
            if {*words_of(str(name))} - {"config", "params", "optimizer", "optim"} in patterns:
                values = typed(runs.table[name])
                levels |= set(values.tolist()) if values.dtype.kind in "if" else set()
        found.append(levels.pop() if len(levels) == 1 else None)
    return Known(*found)


def companions(known: Known, batch: float, rate: float, horizon: float) -> list[Companion]:
    """The values by rule.

    Args:
        known: of the runs.
        batch: B/B₀, of the plan over the nearest group.
        rate: ε/ε₀.
        horizon: D/D₀.
    """
    decay = None if known.weight_decay is None else known.weight_decay * batch / (rate * horizon)
    before = _BETA2 if known.beta2 is None else known.beta2
    beta2 = max(before**batch, min(BETA2_FLOOR, before))
    source = " of PyTorch's default" if known.beta2 is None else ""
    return [
        Companion("weight decay", decay, "keeps the timescale B/(ελD) of the nearest runs, arXiv:2405.13698"),
        Companion("β₂", beta2, f"keeps the half-life in examples{source}, at least {BETA2_FLOOR}, arXiv:2507.07101"),
        Companion("warmup steps", 2 / (1 - beta2), "2/(1 - β₂), arXiv:1910.04209"),
    ]
