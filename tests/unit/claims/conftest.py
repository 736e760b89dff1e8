"""Tables of runs with a planted truth."""

from itertools import product

import numpy as np
import pandas as pd
from batchlaw.claims.hypotheses import CATALOGUE
from batchlaw.claims.overall import JUDGES
from batchlaw.claims.planned import FACTORS
from batchlaw.results.result import SeedCurvePoint
from batchlaw.spec import parse_spec

from tests.conftest import tiny_study

N, REPORTS = 6, 10


def table(value, *, noise=0.02, seed=0, **levels):
    """Runs over the product of levels; `value(cell)` is a dict of the columns it decides."""
    generator = np.random.default_rng(seed)
    defaults = {
        "batch_size": [8], "base_lr": [0.1], "optimizer": ["momentum"], "momentum": [0.9], "weight_decay": [0.0],
        "decay": ["constant"], "warmup_fraction": [0.0], "train_size": [128], "weight_decay_tau": [0.0],
        "bias_correction": [True],
    }  # fmt: skip
    chosen = {**defaults, **levels}
    rows = []
    for values in product(*(chosen[name] for name in FACTORS)):
        cell = dict(zip(FACTORS, values, strict=True))
        for replicate in range(N):
            shake = noise * generator.normal()
            columns = {
                "peak_lr": cell["base_lr"], "replicate": replicate, "unstable": False, "train_loss": 0.0, "score": 0.0,
                "validation_loss": 0.0, "tail_loss_variance": 1.0, "plateau_steps": 50.0, "curves": [],
                "steps": 100, "examples": 800, "train_seconds": 1.0, "shares_network": False,
            } | value(cell)  # fmt: skip
            for name in ("train_loss", "validation_loss", "score"):
                columns[name] += shake
            rows.append(cell | columns)
    return pd.DataFrame(rows)


def judged(name, runs, **space):
    """The finding, by a spec with these levels; where none are given, with those of H11, which asks for the fewest."""
    study = tiny_study(task={"train_size": 128})
    del study["search"]
    fewest = {"batch_size": 8, "base_lr": 0.1, "decay": ["step", "batch-growth"]}
    study["space"] = space or fewest
    study["claim"] = {"hypotheses": [name] if space else ["H11"], "replicates": N, "reports": REPORTS}
    return JUDGES[name](CATALOGUE[name], runs, parse_spec(study, "test"), np.random.default_rng(0))


def with_curves(runs, *columns, noise=0.01, shared=0.0, seed=0, slow=None):
    """Training loss falls as exp(-2 t) but for `slow` cells; each column is a cell's value × (1 - log of that loss)."""
    generator = np.random.default_rng(seed)
    of_seed, curves = shared * generator.normal(size=N), []
    for _, cells in runs.groupby(list(FACTORS), sort=False):
        cell = cells.iloc[0]
        pace = 0.5 if slow and slow(cell) else 2.0
        shake = of_seed + noise * generator.normal(size=N)
        entries = []
        for number in range(1, REPORTS + 1):
            train = np.exp(-pace * number / REPORTS)
            found = {"train_loss": [train] * N}
            for name, value in columns:
                found[name] = list(value(cell) * (1 - np.log(train)) + shake)
            entries.append(SeedCurvePoint(number / REPORTS, found))
        curves += [entries] * N
    return runs.assign(curves=curves)
