"""The loop of a training run: networks advance from report to report, are evaluated, and may diverge."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from batchlaw.recipe.result import Report
from batchlaw.recipe.schedule import Schedule, config_at, schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.train import memory
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.data import load_parts
from batchlaw.train.evaluation import Evaluation
from batchlaw.train.examples import Examples
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stacking import can_stack, stack_size

T = TypeVar("T")


class Run:
    """Configurations in training. A *member* is one replicate of one configuration.

    Members are ordered by configuration, then by seed. `size` of them train as one network, a *stack*.

    Args:
        configs: at least one; they differ in the learning rate only.
        device: to train on.
        data_dir: with the data sets.
        size: members of a stack; None as in `train_together`.
    """

    def __init__(self, configs: Sequence[TrainConfig], device: torch.device, data_dir: Path, size: int | None) -> None:
        self.configs, self.config, self.device = configs, configs[0], device
        task, seeds = self.config.task, self.config.seeds
        assert task is not None
        self.task = task
        self.parts = load_parts(task, device, data_dir)
        self.schedule = schedule_of(self.config)
        if len(configs) * len(seeds) == 1 or not can_stack(configs):
            size = 1
        elif size is None:
            several = len(configs) > 1
            size = len(configs) * len(seeds) if several else stack_size(configs, self.parts.train, self.schedule)
        self.size = size
        memory.reset_peak(device)
        if size == 1:
            self.stacks = [
                ParallelRuns(config, task, (seed,), self.schedule, self.parts.train)
                for config in configs
                for seed in seeds
            ]
        else:
            n = size // len(seeds)
            rates = [tuple(each.peak_lr for each in configs[k : k + n]) for k in range(0, len(configs), n)]
            self.stacks = [
                ParallelRuns(self.config, task, seeds, self.schedule, self.parts.train, peak_lrs) for peak_lrs in rates
            ]
        self.stack_seconds = [0.0] * len(self.stacks)
        self.finite = [True] * len(configs) * len(seeds)  # of each member
        self.untrained: list[dict[str, float]] | None = None
        self.validation: list[dict[str, float]] = []  # scores of each member at the latest report
        self.errors: list[dict[str, float]] = []  # their standard errors
        self.curves: list[list[dict[str, Any]]] = [[] for _ in configs]
        self.steps_done = 0
        # The schedule of each horizon but the last, and the scores of each member after its cooldown.
        self.branches = {horizon: schedule_of(config_at(self.config, horizon)) for horizon in self.config.horizons[:-1]}
        self.horizons: dict[float, list[dict[str, float]]] = {horizon: [] for horizon in self.branches}
        self.reported: list[list[tuple[float, dict[str, float]]]] = [[] for _ in configs]

    def replicates(self, position: int, of_members: Sequence[T]) -> list[T]:
        """The values of one configuration's replicates, from the values of all members."""
        n = len(self.config.seeds)
        return list(of_members[position * n : (position + 1) * n])

    def has_diverged(self, position: int) -> bool:
        """Whether no replicate of a configuration is finite any more."""
        return not any(self.replicates(position, self.finite))

    def state(self) -> dict[str, Any]:
        """The whole state at a report, for a checkpoint."""
        return {
            "size": self.size,
            "done": self.steps_done,
            "reported": self.reported,
            "finite": self.finite,
            "curves": self.curves,
            "horizons": self.horizons,
            "stack_seconds": self.stack_seconds,
            "stacks": [stack.state() for stack in self.stacks],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        self.steps_done, self.reported, self.finite = state["done"], state["reported"], state["finite"]
        self.curves, self.stack_seconds, self.horizons = state["curves"], state["stack_seconds"], state["horizons"]
        for stack, saved in zip(self.stacks, state["stacks"], strict=True):
            stack.restore(saved)

    def train(self, reports: Sequence[Report], checkpoint: Checkpoint | None) -> None:
        """Train to the end of the budget, or until every member has diverged.

        After `restore` the earlier reports are made again first.
        """
        boundaries = self.schedule.report_steps(self.config.reports)
        for report, reported in zip(reports, self.reported, strict=True):
            for progress, metrics in reported:
                report(progress, metrics)
        for number, boundary in enumerate(boundaries, start=1):
            if number < len(boundaries) and boundaries[number] == boundary:
                continue  # the next report has the same step and replaces this one
            if boundary <= self.steps_done:
                continue
            scores = self.validate(self.advance(self.steps_done, boundary))
            self.steps_done = boundary
            alive = [position for position in range(len(self.configs)) if not self.has_diverged(position)]
            if not alive:
                return
            self.record(alive, number / self.config.reports, scores)
            if checkpoint and checkpoint.due and number < len(boundaries):
                checkpoint.save(self.state())
            for position in alive:
                reports[position](*self.reported[position][-1])

    def record(self, alive: Sequence[int], progress: float, scores: list[dict[str, float]]) -> None:
        """Add a report to `reported`, and to `curves` if they are measured, for the configurations `alive`."""
        measures = self.config.measures
        curve_points = self.curve_points(scores) if "curves" in measures else {}
        noise = self.gradient_noise(self.steps_done) if "noise-scale" in measures else []
        for position in alive:
            if curve_points:
                own = {name: self.replicates(position, values) for name, values in curve_points.items()}
                self.curves[position].append({"progress": progress, **own})
            known = [estimates for estimates in self.replicates(position, noise) if estimates]
            means = means_of(self.replicates(position, scores)) | means_of(known)
            self.reported[position].append((progress, means))

    def advance(self, start: int, stop: int) -> list[float]:
        """Train all stacks from step `start` to `stop`; returns each member's mean training loss over these steps."""
        losses: list[float] = []
        for position, stack in enumerate(self.stacks):
            began = time.perf_counter()
            done = start
            for horizon, schedule in self.branches.items():
                if start <= schedule.decay_start < stop:
                    stack.advance(done, schedule.decay_start)
                    done = schedule.decay_start
                    began += self.cool_down(stack, horizon, schedule)
            stack.advance(done, stop)
            losses += (stack.loss_sum / (stop - start)).tolist()  # waits for the device
            stack.loss_sum.zero_()
            self.stack_seconds[position] += time.perf_counter() - began
        return losses

    def cool_down(self, stack: ParallelRuns, horizon: float, schedule: Schedule) -> float:
        """Train a branch of a stack to its horizon and score it; returns the seconds of the scoring."""
        with stack.branch(schedule):
            stack.advance(schedule.decay_start, schedule.steps)
            stack.loss_sum.tolist()  # waits for the device
            began = time.perf_counter()
            parts = {"validation": self.parts.validation, "train": self.parts.sample}
            evaluated = {part: scores_of([stack.evaluate(examples)], part) for part, examples in parts.items()}
            self.horizons[horizon] += [{**v, **t} for v, t in zip(*evaluated.values(), strict=True)]
            return time.perf_counter() - began

    def horizon_metrics(self) -> list[dict[str, float]]:
        """The scores of each member at the horizons, such as validation_loss@0.25.

        Where a member had diverged there, "diverged@0.25" is 1, and its scores are those of its untrained network. A
        run that ended before a horizon has none.
        """
        found: list[dict[str, float]] = [{} for _ in self.finite]
        for horizon, members in self.horizons.items():
            for position, scores in enumerate(members):
                finite = all(map(math.isfinite, scores.values()))
                own = scores if finite else {name: self.untrained_metrics()[position][name] for name in scores}
                found[position] |= {f"{name}@{horizon:g}": value for name, value in own.items()}
                if not finite:
                    found[position][f"diverged@{horizon:g}"] = 1.0
        return found

    def validate(self, train_losses: Sequence[float]) -> list[dict[str, float]]:
        """The metrics of each member at a report; a diverged member has those of its untrained network."""
        evaluations = [stack.evaluate(self.parts.validation) for stack in self.stacks]
        self.validation = scores_of(evaluations, "validation")
        self.errors = [error for evaluation in evaluations for error in evaluation.standard_errors("validation")]
        scores = [dict(score) for score in self.validation]
        for position, (score, train_loss) in enumerate(zip(scores, train_losses, strict=True)):
            self.finite[position] &= math.isfinite(train_loss) and math.isfinite(score["validation_loss"])
            score["running_train_loss"] = train_loss
        return self.with_untrained(scores)

    def curve_points(self, scores: list[dict[str, float]]) -> dict[str, list[float | None]]:
        """A point of each member's training curves: its scores, its loss on the training part, its sharpness."""
        training = scores_of([stack.evaluate(self.parts.sample) for stack in self.stacks], "train")
        rows = [{**score, **train} for score, train in zip(scores, training, strict=True)]
        columns: dict[str, list[float]] = {name: [row[name] for row in rows] for name in rows[0]}
        if "sharpness" in self.config.measures:
            measured = [stack.sharpness() for stack in self.stacks]
            columns |= {name: [value for stack in measured for value in stack[name]] for name in measured[0]}
        if "batch-sharpness" in self.config.measures:
            steps = self.steps_done
            columns["batch_sharpness"] = [value for stack in self.stacks for value in stack.batch_sharpness(steps)]
        # None, because JSON has no infinity; `TrainResult.diverged` says which members diverged.
        return {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}

    def gradient_noise(self, step: int) -> list[dict[str, float]]:
        """The estimates of each member's gradient noise; empty where they are not finite."""
        estimates = [noise for stack in self.stacks for noise in stack.gradient_noise(step)]
        return [
            {"gradient_norm2": noise.norm2, "gradient_variance": noise.variance}
            if finite and math.isfinite(noise.norm2) and math.isfinite(noise.variance)
            else {}
            for noise, finite in zip(estimates, self.finite, strict=True)
        ]

    def with_untrained(self, scores: list[dict[str, float]]) -> list[dict[str, float]]:
        """The scores, with those of the untrained network for each diverged member."""
        return [
            score if finite else {name: self.untrained_metrics()[position][name] for name in score}
            for position, (score, finite) in enumerate(zip(scores, self.finite, strict=True))
        ]

    def untrained_metrics(self) -> list[dict[str, float]]:
        """The metrics of each member before its first step, computed when first needed."""
        if self.untrained is None:
            validation = self.untrained_scores(self.parts.validation, "validation")
            training = self.untrained_scores(self.parts.sample, "train")
            self.untrained = [
                v | t | {"running_train_loss": t["train_loss"]} for v, t in zip(validation, training, strict=True)
            ]
        return self.untrained

    def untrained_scores(self, examples: Examples, part: str) -> list[dict[str, float]]:
        """The scores of each member before its first step; they depend on its seed only."""
        untrained = [
            ParallelRuns(self.config, self.task, (seed,), self.schedule, self.parts.train) for seed in self.config.seeds
        ]
        return scores_of([network.evaluate(examples) for network in untrained], part) * len(self.configs)


def scores_of(evaluations: Sequence[Evaluation], part: str) -> list[dict[str, float]]:
    """The metrics of each member, named after a part of the data such as `validation`."""
    return [scores for evaluation in evaluations for scores in evaluation.scores(part)]


def means_of(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each score."""
    return {name: sum(score[name] for score in scores) / len(scores) for name in (scores[0] if scores else ())}
