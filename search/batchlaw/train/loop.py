"""The loop of a training run: stacks advance from report to report; divergence, and what is measured on the way."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from batchlaw.errors import Diverged
from batchlaw.recipe.result import Report, TrainResult
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.train import memory, networks
from batchlaw.train.checkpoint import Checkpoint
from batchlaw.train.data import Examples, load_parts
from batchlaw.train.device import device_name
from batchlaw.train.evaluation import Evaluation
from batchlaw.train.parallel_runs import ParallelRuns
from batchlaw.train.stacking import can_stack, stack_size

T = TypeVar("T")


class Run:
    """Configurations in training: members are the replicates of the first, of the second, …, so many of them a stack.

    Args:
        configs: that differ in the learning rate alone.
        device: where they train.
        data_dir: where data sets are kept.
        size: members of a stack; None as `train_together` has it.
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
        self.finite = [True] * len(configs) * len(seeds)
        self.untrained: list[dict[str, float]] | None = None
        self.validation: list[dict[str, float]] = []  # of each member, at the latest report
        self.loss_errors: list[float] = []
        self.curves: list[list[dict[str, Any]]] = [[] for _ in configs]
        self.done = 0  # steps
        self.reported: list[list[tuple[float, dict[str, float]]]] = [[] for _ in configs]

    def of(self, position: int, values: Sequence[T]) -> list[T]:
        """What belongs to the replicates of a configuration, of what there is of each member."""
        n = len(self.config.seeds)
        return list(values[position * n : (position + 1) * n])

    def base_lrs(self, position: int) -> list[float]:
        """Of the configurations in the network of one."""
        n = max(self.size // len(self.config.seeds), 1)
        start = position - position % n
        return [config.base_lr for config in self.configs[start : start + n]]

    def ended(self, position: int) -> bool:
        """Whether no replicate of a configuration is finite any more."""
        return not any(self.of(position, self.finite))

    def state(self) -> dict[str, Any]:
        """For a checkpoint, right before a report."""
        return {
            "size": self.size,
            "done": self.done,
            "reported": self.reported,
            "finite": self.finite,
            "curves": self.curves,
            "stack_seconds": self.stack_seconds,
            "stacks": [stack.state() for stack in self.stacks],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.done, self.reported, self.finite = state["done"], state["reported"], state["finite"]
        self.curves, self.stack_seconds = state["curves"], state["stack_seconds"]
        for stack, kept in zip(self.stacks, state["stacks"], strict=True):
            stack.restore(kept)

    def train(self, reports: Sequence[Report], checkpoint: Checkpoint | None) -> None:
        """To the end of the budget, or until none is finite; reports that were made before are made again."""
        config = self.config
        boundaries = self.schedule.report_steps(config.reports)
        for report, reported in zip(reports, self.reported, strict=True):
            for progress, metrics in reported:
                report(progress, metrics)
        for number, boundary in enumerate(boundaries, start=1):
            if number < len(boundaries) and boundaries[number] == boundary:
                continue  # the next report is due at the same step, and speaks for this one
            if boundary <= self.done:
                continue
            alive = [position for position in range(len(self.configs)) if not self.ended(position)]
            train_losses = self.advance(self.done, boundary)
            scores = self.validate(train_losses)
            self.done = boundary
            alive = [position for position in alive if not self.ended(position)]
            if not alive:
                return
            course = self.course(scores) if "curves" in config.measures else {}
            noise = self.gradient_noise(boundary) if "noise-scale" in config.measures else []
            for position in alive:
                progress = number / config.reports
                if course:
                    own = {name: self.of(position, values) for name, values in course.items()}
                    self.curves[position].append({"progress": progress, **own})
                known = [parts for parts in self.of(position, noise) if parts]
                means = _means(self.of(position, scores)) | _means(known)
                self.reported[position].append((progress, means))
            if checkpoint and checkpoint.due and number < len(boundaries):
                checkpoint.keep(self.state())
            for position in alive:
                reports[position](*self.reported[position][-1])

    def advance(self, start: int, stop: int) -> list[float]:
        """Train all stacks to step `stop`; the mean training loss of each member on the way."""
        losses: list[float] = []
        for position, stack in enumerate(self.stacks):
            began = time.perf_counter()
            stack.advance(start, stop)
            losses += (stack.loss_sum / (stop - start)).tolist()  # the one wait for the device
            stack.loss_sum.zero_()
            self.stack_seconds[position] += time.perf_counter() - began
        return losses

    def validate(self, train_losses: Sequence[float]) -> list[dict[str, float]]:
        """Metrics of each member at a report; a diverged one carries its untrained network's."""
        evaluations = [stack.evaluate(self.parts.validation) for stack in self.stacks]
        self.validation = _per_member(evaluations, "validation")
        self.loss_errors = [error for evaluation in evaluations for error in evaluation.loss_standard_error]
        scores = [dict(score) for score in self.validation]
        for position, (score, train_loss) in enumerate(zip(scores, train_losses, strict=True)):
            self.finite[position] &= math.isfinite(train_loss) and math.isfinite(score["validation_loss"])
            score["running_train_loss"] = train_loss
        return self.with_untrained(scores)

    def course(self, scores: list[dict[str, float]]) -> dict[str, list[float | None]]:
        """Of each member at a report: its scores, the loss of the whole training part, and the sharpness there."""
        training = _per_member([stack.evaluate(self.parts.train) for stack in self.stacks], "train")
        rows = [{**score, **train} for score, train in zip(scores, training, strict=True)]
        columns: dict[str, list[float]] = {name: [row[name] for row in rows] for name in rows[0]}
        if "sharpness" in self.config.measures:
            found = [stack.sharpness() for stack in self.stacks]
            columns |= {name: [value for stack in found for value in stack[name]] for name in found[0]}
        # JSON has no infinity; what left the finite numbers is told by `diverged`.
        return {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}

    def gradient_noise(self, step: int) -> list[dict[str, float]]:
        """The parts of the noise scale of each member at a report; nothing of one that is not finite."""
        found = [noise for stack in self.stacks for noise in stack.gradient_noise(step)]
        return [
            {"gradient_norm2": noise.norm2, "gradient_variance": noise.variance}
            if finite and math.isfinite(noise.norm2) and math.isfinite(noise.variance)
            else {}
            for noise, finite in zip(found, self.finite, strict=True)
        ]

    def with_untrained(self, scores: list[dict[str, float]]) -> list[dict[str, float]]:
        """The scores, with those of the untrained network in the place of each diverged member's."""
        return [
            score if finite else {name: self.untrained_metrics()[position][name] for name in score}
            for position, (score, finite) in enumerate(zip(scores, self.finite, strict=True))
        ]

    def untrained_metrics(self) -> list[dict[str, float]]:
        """The metrics of each member before its first step, computed when first needed."""
        if self.untrained is None:
            validation = self.untrained_scores(self.parts.validation, "validation")
            training = self.untrained_scores(self.parts.train, "train")
            self.untrained = [
                v | t | {"running_train_loss": t["train_loss"]} for v, t in zip(validation, training, strict=True)
            ]
        return self.untrained

    def untrained_scores(self, examples: Examples, part: str) -> list[dict[str, float]]:
        """The scores of each member's network before its first step, which its seed alone decides."""
        fresh = [
            ParallelRuns(self.config, self.task, (seed,), self.schedule, self.parts.train) for seed in self.config.seeds
        ]
        evaluations = [network.evaluate(examples) for network in fresh]
        return _per_member(evaluations, part) * len(self.configs)

    def results(self, test: Examples | None) -> list[TrainResult | Diverged]:
        """After the last report, whose validation is used again."""
        training = _per_member([stack.evaluate(self.parts.train) for stack in self.stacks], "train")
        members = self.with_untrained([{**v, **t} for v, t in zip(self.validation, training, strict=True)])
        if test is not None:
            tested = _per_member([stack.evaluate(test) for stack in self.stacks], "test")
            if not all(self.finite):
                untrained = self.untrained_scores(test, "test")
                tested = [t if ok else u for t, u, ok in zip(tested, untrained, self.finite, strict=True)]
            members = [{**member, **scores} for member, scores in zip(members, tested, strict=True)]
        tails = [variance for stack in self.stacks for variance in stack.tail_loss_variance()]
        plateaus = [steps for stack in self.stacks for steps in stack.plateau_steps()]
        seconds = [s / stack.members for stack, s in zip(self.stacks, self.stack_seconds, strict=True)
                   for _ in range(stack.members)]  # fmt: skip
        micro = min(stack.micro_batch_size for stack in self.stacks)
        largest = max(phase.batch_size for phase in self.schedule.phases)
        batch_norm = largest > micro and networks.has_batch_norm(self.stacks[0].model)
        results: list[TrainResult | Diverged] = []
        for position, config in enumerate(self.configs):
            if self.ended(position):
                results.append(Diverged(_means(self.of(position, self.untrained_metrics()))))
                continue
            replicates = self.of(position, members)
            means = _means(replicates)
            errors = [error for error in self.of(position, self.loss_errors) if math.isfinite(error)]
            accuracy = means["validation_accuracy"]
            train_seconds = sum(self.of(position, seconds))
            results.append(
                TrainResult(
                    metrics=means,
                    replicates=replicates,
                    validation_standard_errors={
                        "validation_accuracy": math.sqrt(accuracy * (1 - accuracy) / len(self.parts.validation)),
                        "validation_loss": sum(errors) / max(len(errors), 1),
                    },
                    diverged=[not finite for finite in self.of(position, self.finite)],
                    train_seconds=train_seconds,
                    examples_per_second=self.schedule.examples * len(config.seeds) / train_seconds,
                    device=device_name(self.device),
                    threads=torch.get_num_threads(),
                    stacked=self.size > 1,
                    stack_size=self.size,
                    stacked_base_lrs=self.base_lrs(position),
                    micro_batch_size=min(micro, config.batch_size),
                    grad_accum_steps=math.ceil(config.batch_size / micro),
                    peak_memory_bytes=memory.peak_bytes(self.device),
                    tail_loss_variance=self.of(position, tails),
                    curves=self.curves[position],
                    plateau_steps=self.of(position, plateaus),
                    flags=["batch norm over micro-batches: not the statistics of the whole batch"]
                    if batch_norm
                    else [],
                )
            )
        return results


def _per_member(evaluations: list[Evaluation], part: str) -> list[dict[str, float]]:
    return [
        {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        for evaluation in evaluations
        for loss, accuracy in zip(evaluation.loss, evaluation.accuracy, strict=True)
    ]


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(score[name] for score in scores) / len(scores) for name in (scores[0] if scores else ())}
