"""What people and tools call the columns of a table of runs. The one place for such names.

A name is split into lower-case words: `config/batchSize` is config, batch, size. Words of the part of a configuration
that a column comes from, such as `config` or `optimizer`, tell nothing more and are ignored.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from batchlaw.tables.words import (
    BATCH,
    BATCHES,
    BEST,
    CLOCKS,
    COSTS,
    CUT_OFF,
    ENDS,
    ERROR,
    FINAL,
    GROUPS,
    HELD_OUT,
    LARGER,
    LOSSES,
    NEGATED,
    NO_RATE,
    NO_SCORE,
    OF_BATCH,
    PART,
    PLAIN,
    RATE,
    RATE_FIRST,
    RATE_NEXT,
    SMALLER,
    SMOOTHED,
    TIMES,
    UNTOLD,
    UPDATES,
    WHOLE,
)

# A column of a configuration, as MLflow, Ray Tune, W&B, Lightning, Optuna, scikit-learn and Syne Tune name it.
_OF_INPUTS = re.compile(
    r"^(params?|config|hparams?|hyperparam\w*|hp|args|cfg)[._/]|^(user_attrs_params|param)_", re.IGNORECASE
)
# A column that a run logged while it trained: its last learning rate says nothing of its peak.
_LOGGED = re.compile(r"^(metrics?[._/]|train/|lr[-/]|charts/|summary[._/]|perf/)", re.IGNORECASE)

_SEED = re.compile(r"^((\w+_)?(seed|seeds)|random_state|rng|replicate|replica|rep|repeat|repetition)$")
# Columns of one metric for several seeds: their names differ by a number that follows such a word, or a separator.
_NUMBERED = re.compile(
    r"(?P<stem>.*?)(?P<mark>(?:^|[\s._/-]+)(?:seed|run|rep|repeat|replicate|trial|fold|s|r)[\s._=#-]*|[\s._/-]+)\d+",
    re.IGNORECASE,
)
_NUMBERED_INSIDE = re.compile(  # such as "run 1 loss" or "acc (seed 0)"
    r"(?P<before>|.*[^a-z])(?:seed|run|rep|repeat|replicate|fold)[\s._=#-]*\d+(?P<after>\D*)", re.IGNORECASE
)
_BRACKETED = re.compile(r"(?<=[(\[])\s*(\w+)")
# The unit of a rate or batch size behind its name: a power of ten, or k or M.
_UNIT = re.compile(
    r"[(\[]\s*(?:[x×*·]\s*)?(?:(?P<number>1e[-+]?\d+)|10\s*(?:\^|\*\*)\s*[({]?(?P<power>[-\u2212]?\d+)[)}]?|"
    r"(?P<letter>[kKM])(?:\s*(?:tokens|toks|examples|samples|sequences|seqs))?)\s*[)\]]"
)

Better = Literal["smaller", "larger"]


@dataclass(frozen=True)
class Metric:
    """What the name of a score column tells."""

    better: Better | None
    rank: tuple[int, ...]  # of several scores the one of the lowest rank is meant


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case, without what stands in brackets."""
    bare = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", name) if not name.startswith(("(", "[")) else name
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z0-9]{2})(?=[A-Z])", " ", bare)
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", spaced))


def is_input(name: str) -> bool:
    """Whether a tool marks the column as part of a configuration."""
    return _OF_INPUTS.match(name) is not None


def rate_rank(name: str) -> tuple[int, ...] | None:
    """How well a name fits the learning rate, lower is better; None where it is none."""
    words = words_of(name)
    for pattern in RATE:
        others = _without(words, pattern)
        if others is None:
            continue
        others -= GROUPS | {"train"}
        if others & NO_RATE or (pattern in (("eta",), ("η",), ("step", "size")) and others):
            return None
        if not others:
            kind = 0
        elif others <= RATE_FIRST | RATE_NEXT:
            kind = 1 if others & RATE_FIRST else 2
        elif words[-len(pattern) :] == pattern:
            kind = 3  # such as that of the actor
        else:
            return None
        return (int(_LOGGED.match(name) is not None), kind, int(not is_input(name)))
    return None


def unit_of(name: str) -> float:
    """What stands in brackets behind a name as the unit of its numbers, such as 0.001 of `lr (x1e-3)`; else 1."""
    found = _UNIT.search(name)
    if found is None:
        return 1.0
    if found["letter"]:
        return {"k": 1e3, "m": 1e6}[found["letter"].lower()]
    return float(found["number"] or f"1e{found['power']}".replace("\u2212", "-"))


def base_of_log(name: str, rank: Callable[[str], object]) -> int | None:
    """The base, 2 or else 10, where a name is that of a logarithm of what `rank` knows; None where it is none."""
    words = words_of(name)
    if words[:1] in (("log",), ("log2",), ("log10",)) and rank("_".join(words[1:])) is not None:
        return 2 if words[0] == "log2" else 10
    return None


def base_of_log_rate(name: str) -> int | None:
    """As `base_of_log`, of a learning rate."""
    return base_of_log(name, rate_rank)


def tells_base(name: str) -> bool:
    """Whether the name of a logarithm tells its base."""
    return words_of(name)[:1] in (("log2",), ("log10",))


def batch_rank(name: str) -> tuple[int, ...] | None:
    """How well a name fits the batch size, lower is better; None where it is none."""
    words = words_of(name)
    for pattern in BATCH:
        others = _without(words, pattern)
        if others is None:
            continue
        others -= GROUPS
        if (pattern == ("b",) and others) or not others <= OF_BATCH:
            return None
        kind = 3 if others & PART else 0 if others & WHOLE else 1 if pattern != ("batch",) or not others else 2
        return (kind, int(_LOGGED.match(name) is not None), int(not is_input(name)))
    return None


def is_number_of_batches(name: str) -> bool:
    """Whether a column counts devices, or steps whose gradients are accumulated."""
    words = set(words_of(name)) - GROUPS - {"n", "num", "number", "of", "count"}
    return words in BATCHES or (bool(words & {"accumulation", "accum"}) and not words & {"type", "dtype", "mode"})


def is_per_device(name: str) -> bool:
    """Whether a batch size is that of one device or one micro-batch."""
    return bool(set(words_of(name)) & PART)


def _without(words: tuple[str, ...], pattern: tuple[str, ...]) -> set[str] | None:
    """The words beside those of a pattern, which follow one another; None where they do not."""
    for start in range(len(words) - len(pattern) + 1):
        if words[start : start + len(pattern)] == pattern:
            return {*words[:start], *words[start + len(pattern) :]}
    return None


def metric_of(name: str) -> Metric | None:
    """What a name tells of a score; None where it is that of something else.

    Ranks: held-out data before test data, no word, and training data; the final value, or one smoothed over the last
    steps, before the best; losses before
    other metrics, since they are smooth; names with fewer further words.
    """
    if is_input(name):
        return None
    words = words_of(_stem(name) or name)
    told, known = set(words), SMALLER | LARGER
    if words and words[0] in COSTS and ("to" in words or told & ENDS):
        return Metric("smaller", (4, int(words[0] in CLOCKS), 0, 0))
    among_five = words[-2:] == ("top", "5") or "top5" in told
    if words[-2:] == ("top", "1") or words[-2:] == ("top", "5"):
        told = told - {"1", "5", "top"} | {"top1"}
    if not told & known or told & NO_SCORE:
        return None
    # "accuracy score", "mean squared error": the first word that is a metric, save for the general ones.
    metrics = [word for word in [*words, *told] if word in known]
    metric = next((word for word in metrics if word not in ("score", "mean", "cost")), metrics[0])
    better: Better = "smaller" if metric in SMALLER else "larger"
    if told & NEGATED:
        better = "larger" if better == "smaller" else "smaller"
    split = 0 if told & HELD_OUT else 1 if "test" in told else 3 if told & {"train", "training"} else 2
    staged = told | {*_BRACKETED.findall(name.lower())}  # such as "loss (last)", as Comet and Neptune write it
    stage = 0 if staged & (FINAL | SMOOTHED) else 2 if staged & BEST else 1
    kinds = known | HELD_OUT | FINAL | SMOOTHED | BEST | PLAIN | GROUPS | NEGATED | {"test", "train", "to"}
    return Metric(better, (split, 0 if metric in LOSSES else 1, len(told - kinds) + among_five, stage))


def is_untold(name: str) -> bool:
    """Whether a name says that this is the result, and not of what kind, as Optuna's `value`."""
    return bool(set(words_of(name)) & UNTOLD) and not is_input(name) and not set(words_of(name)) & NO_SCORE


def is_cost(name: str) -> bool:
    """Whether a name counts steps, examples or the like, which is a score where a target was given."""
    words = words_of(name)
    return len(words) == 1 and words[0] in COSTS


def cost_rank(name: str) -> tuple[int, ...] | None:
    """How well a name fits what a run took to reach a target, lower is better; None where it is none.

    One that says so, such as `samples_to_converge`, comes before a plain count.
    """
    words = words_of(name)
    counted = [word for word in words if word in COSTS and word not in TIMES]
    if is_input(name) or not counted:
        return None
    if "to" in words or set(words) & ENDS:
        return (0, len(words))
    return (1, len(words)) if len(words) == 1 or set(words) <= COSTS | {"n", "num", "total", "fewest"} else None


def counts_steps(name: str) -> bool:
    """Whether a column counts updates, and not the examples, tokens or epochs that they saw."""
    return bool(set(words_of(name)) & UPDATES)


def is_target(name: str) -> bool:
    """Whether a column tells the target that runs were trained to."""
    return bool(set(words_of(name)) & {"target", "threshold"})


def is_seed(name: str) -> bool:
    """Whether a column says that it is the seed."""
    return _SEED.match("_".join(word for word in words_of(name) if word not in GROUPS)) is not None


def is_fold(name: str) -> bool:
    """Whether a column says that it is the fold of a cross-validation."""
    return (set(words_of(name)) - GROUPS) in ({"fold"}, {"cv", "fold"}, {"kfold"}, {"val", "fold"}, {"test", "fold"})


def is_error(name: str) -> bool:
    """Whether a column says that it is a standard error."""
    words = words_of(name)
    return any(words[-len(pattern) :] == pattern or words[: len(pattern)] == pattern for pattern in ERROR)


def _stem(name: str) -> str | None:
    """A name without the number of a seed; None where it has none."""
    found = _NUMBERED.fullmatch(name)
    if found is None and (inside := _NUMBERED_INSIDE.fullmatch(name)):
        return inside["before"] + inside["after"]
    if found is None or name.lower() in LARGER or words_of(found["stem"])[-1:] in (("top",), ("hit",), ("hits",)):
        return None
    return found["stem"] or found["mark"]


def seeds_of_one(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Columns whose names differ by a number, by what they have in common: one metric for several seeds.

    Where no word such as `seed` stands before the numbers, they must follow one another, and count no cut-offs: the
    columns `bleu_1 … bleu_4` and `acc_50, acc_100` are those of no seeds.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        stem = _stem(name)
        if stem is not None:
            found.setdefault(stem.strip(), []).append(name)
    return {
        stem: tuple(several)
        for stem, several in found.items()
        if len(several) > 1 and (not numbered_only(several) or _may_be_seeds(stem, several))
    }


def numbered_only(several: Sequence[str]) -> bool:
    """Whether nothing but a number tells that columns are those of seeds."""
    marks = [_NUMBERED.fullmatch(name) for name in several]
    return all(found is not None and not any(map(str.isalpha, found["mark"])) for found in marks)


def _may_be_seeds(stem: str, several: Sequence[str]) -> bool:
    numbers = sorted(trailing_number(name) or 0.0 for name in several)
    words = words_of(stem)
    return not (words and words[-1] in CUT_OFF) and numbers[-1] - numbers[0] == len(numbers) - 1


def trailing_number(name: str) -> float | None:
    """The number at the end of a name, in which k and M are thousands and millions; None where there is none."""
    found = re.search(r"(\d+)([kKM]?)$", name.strip())
    return None if found is None else float(found[1]) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6}[found[2]]


def is_seed_number(stem: str) -> bool:
    """Whether columns of this stem are the score of each seed, though no metric is named: `seed 1337`, `seed 1338`."""
    return set(words_of(stem)) in ({"seed"}, {"run"}, {"rep"}, {"replicate"}, {"repeat"}, {"fold"})
