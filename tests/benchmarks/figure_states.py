"""Reports of studies in the states that figures must bear, and what a browser makes of them.

    python tests/benchmarks/figure_states.py FOLDER [--widths 390 1280] [--states three minimize]

A state is a study of a formula: few trials, one batch size, nothing but divergence, losses over decades, names that are
long, hyperparameters of one's own, a designed study with its verdicts. FOLDER gets a report of each, and a screenshot
of all of it at each width. There is nothing to assert: a person looks.
"""

import argparse
import math
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import batchlaw as bl

from tests.acceptance.browser import Browser

Loss = Callable[[Any, random.Random], float]
_LONG = "a_metric_whose_name_goes_on_and_on_until_no_axis_has_room_for_it"
WIDE = {"batch_size": (2, 512), "base_lr": (1e-4, 1.0)}


def bowl(trial: Any, chance: random.Random) -> float:
    """A loss with its best rate in proportion to the root of the batch size, and divergence far above it."""
    off = math.log2(trial.config.peak_lr / (0.004 * trial.batch_size**0.5))
    if off > 4.5:
        raise bl.Diverged()
    return 0.1 + 0.02 * off**2 + 0.01 * abs(math.log2(trial.batch_size / 32)) + chance.gauss(0, 0.005)


def hopeless(trial: Any, chance: random.Random) -> float:
    raise bl.Diverged()


def decades(trial: Any, chance: random.Random) -> float:
    return float(10 ** (8 * bowl(trial, chance) - 3))


def own(trial: Any, chance: random.Random) -> float:
    choice = {"a": 0.0, "an_activation_with_a_long_name": 0.05}[trial.parameters["activation"]]
    return bowl(trial, chance) + choice + (trial.parameters["dropout"] - 0.2) ** 2


# Each state: its formula, trials, and what else its study has. A score to maximize is 1 less the loss.
STATES: dict[str, tuple[Loss, int, dict[str, Any]]] = {
    "three": (bowl, 3, {"space": WIDE}),
    "many": (bowl, 120, {"space": WIDE | {"optimizer": ["sgd", "momentum", "adam"], "warmup_fraction": (0.0, 0.3)}}),
    "one-batch-size": (bowl, 40, {"space": WIDE | {"batch_size": 32}}),
    "all-diverged": (hopeless, 12, {"space": WIDE}),
    "minimize": (decades, 60, {"space": WIDE, "metric": "loss", "direction": "minimize"}),
    "long-names": (bowl, 40, {"space": WIDE, "metric": _LONG}),
    "own-parameters": (
        own, 60,
        {"space": WIDE, "parameters": {"dropout": (0.0, 0.5), "activation": ["a", "an_activation_with_a_long_name"]}},
    ),
    "designed": (
        bowl, 0,
        {"space": {"batch_size": [2**k for k in range(2, 10)], "base_lr": [0.001 * 2**k for k in range(9)]},
         "claim": {"hypotheses": ["H9"]}, "replicates": 5},
    ),
}  # fmt: skip


def report_of(state: str, folder: Path, database: str) -> Path:
    """Run the study of a state, and write its report."""
    loss, trials, keywords = STATES[state]
    keywords = {"metric": "accuracy", "direction": "maximize"} | keywords
    if trials:
        keywords["trials"] = trials
    study = bl.Study.create(name=state, storage=database, train_size=1000, epochs=10, **keywords)
    while trial := study.ask():
        chance, metric = random.Random(trial.number), keywords["metric"]
        try:
            losses = [loss(trial, chance) for _ in trial.config.seeds]
            scores = [{metric: each if keywords["direction"] == "minimize" else 1 - each} for each in losses]
            for part in range(1, 5):
                mean = sum(score[metric] for score in scores) / len(scores)
                trial.report(part / 4, {metric: mean * (1 - 0.3 * (1 - part / 4))})
            study.tell(trial, scores if len(scores) > 1 else scores[0])
        except (bl.Pruned, bl.Diverged) as ending:
            study.tell(trial, ending)
    file = folder / f"{state}.html"
    study.report(file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--widths", type=int, nargs="+", default=[390, 1280])
    parser.add_argument("--states", nargs="+", choices=list(STATES), default=list(STATES))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Browser(Path(name)) as browser:
        for state in options.states:
            file = report_of(state, options.folder, f"sqlite:///{name}/states.db")
            for width in options.widths:
                browser.resize(width, 1000)
                browser.open(file.absolute().as_uri())
                browser.resize(width, min(16_000, browser.run("document.documentElement.scrollHeight")))
                browser.run("new Promise(done => setTimeout(done, 500))")  # until Plotly has drawn at the new size
                browser.photograph(picture := options.folder / f"{state}-{width}.png")
                print(picture)


if __name__ == "__main__":
    main()
