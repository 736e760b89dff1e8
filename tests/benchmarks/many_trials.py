"""A study of thousands of finished trials, made without training them, to see what the reading side does with it.

    python tests/benchmarks/many_trials.py --trials 5000 --storage sqlite:////tmp/many.db
    python tests/benchmarks/many_trials.py --trials 5000 --arm claim --storage postgresql+psycopg://user@host/db

One trial is trained for real, and what it recorded is the pattern of all others, so that they have its fields and its
size. Their scores lie on a plausible surface: a bowl over the noise scale, divergence above it, and noise. A search
prunes three in four after three reports; a claim has every cell, of 10 batch sizes × 5 momenta × 5 weight decays × as
many learning rates as make up the number of trials.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
from batchlaw import __version__
from batchlaw.claims.hypotheses import preregistration
from batchlaw.dashboard.refresh import refresh
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import cells, point_of, suggest
from batchlaw.spec import StudySpec, parse_spec
from batchlaw.storage import StoredStudy, open_storage, register
from batchlaw.storage.attributes import CONFIG, OUTCOME, RESULT
from batchlaw.storage.tables import slots
from batchlaw.workers.trial import run_trials
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from sqlalchemy import insert, select, update

Arm = Literal["search", "claim"]
CELLS = 250  # of a claim for each learning rate
_CHANCE_LOSS = math.log(10)


def spec_of(arm: Arm, trials: int) -> StudySpec:
    """`many-search`, which is `digits-joint`, or `many-claim` on the same network with four factors."""
    table: dict[str, Any] = {
        "name": f"many-{arm}",
        "question": "What does the reading side do with many trials?",
        "task": {
            "dataset": "digits", "model": "mlp", "train_size": 800, "validation_fraction": 0.4,
            "model_options": {"widths": [128]},
        },
        "budget": {"epochs": 20},
    }  # fmt: skip
    if arm == "search":
        table["space"] = {
            "batch_size": {"low": 2, "high": 512, "log2": True},
            "base_lr": {"low": 1e-4, "high": 1.0, "log": True},
            "scaling_rule": ["constant", "sqrt", "linear"],
            "warmup_fraction": {"low": 0.0, "high": 0.3},
            "optimizer": ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
            "decay": ["constant", "cosine", "linear", "step", "batch-growth"],
        }
        table["search"] = {"trials": trials}
    else:
        if trials % CELLS or trials < 6 * CELLS:
            raise ValueError(f"trials: got {trials}; a claim needs a multiple of {CELLS}, and {6 * CELLS} or more")
        n_rates = trials // CELLS
        table["space"] = {
            "batch_size": {"low": 1, "high": 512, "log2": True},
            "base_lr": [2.0 ** (-8 + 10 * k / (n_rates - 1)) for k in range(n_rates)],
            "optimizer": "momentum",
            "momentum": [0.0, 0.5, 0.75, 0.9, 0.95],
            "weight_decay": [0.0, 1e-5, 1e-4, 1e-3, 1e-2],
        }
        table["claim"] = {"hypotheses": ["H9", "H8", "H6"]}
    return parse_spec(table, "many_trials")


def fill(storage_url: str, trials: int, arm: Arm = "search", seed: int = 0, *, draw: bool = False) -> StoredStudy:
    """Make the study of an arm, with all of its trials finished.

    Raises:
        ValueError: the cells of a claim do not make up that number of trials.
    """
    spec, chance = spec_of(arm, trials), random.Random(seed)
    storage = open_storage(storage_url, create=True)
    claims = preregistration(spec.claim) if spec.claim else None
    stored = register(storage, spec, trials=None, version=__version__, preregistration=claims)
    pattern, began = _pattern(spec), datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=trials)
    finished = [
        _finished(spec, point, pattern, began + timedelta(seconds=number), chance)
        for number, point in enumerate(_points(spec, trials, seed))
    ]
    store(storage, stored.study._study_id, finished)
    with storage.engine.begin() as connection:
        connection.execute(update(slots).where(slots.c.study_id == stored.study._study_id).values(state="done"))
    if draw:  # as the last worker does
        refresh(stored, trials)
    return stored


def store(storage: RDBStorage, study_id: int, trials: list[FrozenTrial]) -> None:
    """Write trials as `RDBStorage.create_new_trial` does, which takes some thirty statements for each of them."""
    rows: dict[type, list[dict[str, Any]]] = {
        models.TrialValueModel: [],
        models.TrialParamModel: [],
        models.TrialIntermediateValueModel: [],
        models.TrialUserAttributeModel: [],
        models.TrialSystemAttributeModel: [],
    }
    finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    with storage.engine.begin() as connection:
        heads = [
            {
                "study_id": study_id, "number": number, "state": trial.state,
                "datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete,
            }
            for number, trial in enumerate(trials)
        ]  # fmt: skip
        connection.execute(insert(models.TrialModel.__table__), heads)
        query = select(models.TrialModel.trial_id).where(models.TrialModel.study_id == study_id)
        for trial_id, trial in zip(connection.scalars(query.order_by(models.TrialModel.number)), trials, strict=True):
            of = {"trial_id": trial_id}
            value_type = models.TrialValueModel.TrialValueType.FINITE
            rows[models.TrialValueModel].append(of | {"objective": 0, "value": trial.value, "value_type": value_type})
            rows[models.TrialParamModel] += [
                of | {
                    "param_name": name, "param_value": trial.distributions[name].to_internal_repr(value),
                    "distribution_json": distribution_to_json(trial.distributions[name]),
                }
                for name, value in trial.params.items()
            ]  # fmt: skip
            rows[models.TrialIntermediateValueModel] += [
                of | {"step": step, "intermediate_value": value, "intermediate_value_type": finite}
                for step, value in trial.intermediate_values.items()
            ]
            for model, attributes in (
                (models.TrialUserAttributeModel, trial.user_attrs),
                (models.TrialSystemAttributeModel, trial.system_attrs),
            ):
                rows[model] += [of | {"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
        for model, found in rows.items():
            if found:
                connection.execute(insert(model.__table__), found)


def _pattern(spec: StudySpec) -> dict[str, Any]:
    """What one trial that is trained for real records, at B = 64 and a fair rate."""
    study = optuna.create_study(direction=spec.direction, pruner=optuna.pruners.NopPruner())
    study.enqueue_trial({"log2_batch_size": 6, "base_lr": spec.space.base_lr[-4] if spec.claim else 0.1})
    runtime = Runtime(torch.device("cpu"), Path("unused"))
    [outcome] = run_trials([study.ask()], spec, run_seeds(0, spec.arm.replicates), runtime)
    return dict(outcome.record)


def _points(spec: StudySpec, trials: int, seed: int) -> Iterator[FixedTrial | optuna.Trial]:
    """What is suggested in each trial: the cells of a claim, or random points of a search."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    for point in map(FixedTrial, cells(spec)) if spec.claim else (study.ask() for _ in range(trials)):
        suggest(point, spec)
        yield point


def _finished(
    spec: StudySpec, point: FixedTrial | optuna.Trial, pattern: dict[str, Any], started: datetime, chance: random.Random
) -> FrozenTrial:
    """A trial as a worker leaves it."""
    config = derive(spec, point_of(point.params, spec), run_seeds(0, spec.arm.replicates))
    off = math.log2(config.noise_scale) - 2  # of B(ε), where one noise scale is best
    diverged = off > 7
    finals = [min(_CHANCE_LOSS, 0.06 + 0.015 * off**2 + abs(chance.gauss(0, 0.02))) for _ in config.seeds]
    pruned = spec.search is not None and not diverged and chance.random() < 0.75
    reports = 3 if pruned else spec.arm.reports
    curve = [_report(pattern["curve"][n], sum(finals) / len(finals), chance) for n in range(reports)]
    replicates = [{**pattern["metrics"], **_scores(final)} for final in finals]
    metrics = {name: sum(each[name] for each in replicates) / len(replicates) for name in replicates[0]}
    facts = {"curve": curve, "seconds": pattern["seconds"], "versions": pattern["versions"]}
    whole = {
        **pattern, "metrics": metrics, "replicates": replicates, "diverged": [diverged] * len(finals),
        "replicate_values": [each[spec.arm.metric] for each in replicates],
    }  # fmt: skip
    attributes = {CONFIG: config.model_dump(mode="json"), RESULT: facts if pruned else {**whole, **facts}}
    return FrozenTrial(
        number=-1, trial_id=-1,  # given by the database
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        value=curve[-1][spec.arm.metric] if pruned else metrics[spec.arm.metric],
        datetime_start=started, datetime_complete=started + timedelta(seconds=pattern["seconds"]),
        params=point.params, distributions=point.distributions,
        user_attrs=attributes | ({OUTCOME: Outcome.DIVERGED} if diverged else {}),
        system_attrs={"completed_rung_0": curve[-1][spec.arm.metric]} if spec.search else {},
        intermediate_values={n + 1: entry[spec.arm.metric] for n, entry in enumerate(curve)},
    )  # fmt: skip


def _scores(loss: float) -> dict[str, float]:
    """A validation loss, and an accuracy that falls from 0.98 to guessing with it (assumption)."""
    return {"validation_loss": loss, "validation_accuracy": 0.1 + 0.9 * (1 - loss / _CHANCE_LOSS)}


def _report(pattern: dict[str, float], final: float, chance: random.Random) -> dict[str, float]:
    """A point of a curve that falls from guessing to its final loss."""
    loss = final + (_CHANCE_LOSS - final) * math.exp(-6 * pattern["progress"]) + chance.gauss(0, 0.005)
    return {**pattern, **_scores(min(loss, _CHANCE_LOSS)), "running_train_loss": max(loss - 0.03, 1e-3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--arm", choices=["search", "claim"], default="search")
    parser.add_argument("--storage", required=True, help="URL of the database, which may be new")
    parser.add_argument("--draw", action="store_true", help="draw the study's page, as the last worker does")
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        stored = fill(options.storage, options.trials, options.arm, draw=options.draw)
    except ValueError as error:
        parser.error(str(error))
    print(f"{stored.spec.name}: {options.trials} trials in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
