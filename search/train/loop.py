"""The training run of one configuration: lanes of replicates, reports, divergence, and what is measured on the way."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from search.errors import Diverged, Interrupted
from search.schedule import schedule_of
from search.spec import Task, TrainConfig
from search.train import memory, models
from search.train.checkpoint import Checkpoint
from search.train.data import Examples, load_parts, load_test
from search.train.lane import Evaluation, Lane
from search.train.result import Report, TrainResult
from search.train.stacking import can_stack, stacking_pays


def train(
    config: TrainConfig,
    report: Report,
    *,
    device: torch.device,
    data_dir: Path,
    stacked: bool | None = None,
    test: bool = False,
    checkpoint: Checkpoint | None = None,
) -> TrainResult:
    """Train every replicate of a configuration on a built-in task.

    Replicates advance together from report to report, as one stacked network where a measurement says that it pays,
    otherwise in turn; the scores are the same up to rounding. On the CPU the result is a pure function of the
    configuration, `stacked` and the number of threads.

    Args:
        config: a configuration with a task.
        report: called at each share of the budget with the means over replicates; what it raises ends the run.
        device: where to train.
        data_dir: where data sets are kept.
        stacked: how to train several replicates; None measures.
        test: score the test data at the end as well.
        checkpoint: where an interrupted run of this configuration goes on from, after its reports were made again.

    Raises:
        Diverged: every replicate left the finite numbers; noticed at the next report.
        DeviceMemoryError: one example at a time does not fit.
        DataError: the data set is missing.
    """
    assert config.task is not None
    kept = checkpoint.load(device) if checkpoint else None
    run = _Run(config, config.task, device, data_dir, kept["stacked"] if kept else stacked)
    if kept:
        run.restore(kept)
    try:
        run.train(report, checkpoint)
    except Interrupted:
        if checkpoint:
            checkpoint.write()
        raise
    return run.result(load_test(config.task, device, data_dir) if test else None)


class _Run:
    def __init__(
        self, config: TrainConfig, task: Task, device: torch.device, data_dir: Path, stacked: bool | None
    ) -> None:
        self.config, self.task, self.device = config, task, device
        self.parts = load_parts(task, device, data_dir)
        self.schedule = schedule_of(config)
        stackable = can_stack(config, task)
        if stacked is None:
            stacked = stackable and stacking_pays(config, task, self.parts.train, self.schedule)
        self.stacked = stacked and stackable
        memory.reset_peak(device)
        groups = [config.seeds] if self.stacked else [(seed,) for seed in config.seeds]
        self.lanes = [Lane(config, task, seeds, self.schedule, self.parts.train) for seeds in groups]
        self.finite = [True] * len(config.seeds)
        self.untrained: list[dict[str, float]] | None = None
        self.validation: list[Evaluation] = []  # of each lane, at the latest report
        self.curves: list[dict[str, Any]] = []
        self.train_seconds = 0.0
        self.done = 0  # steps
        self.reported: list[tuple[float, dict[str, float]]] = []

    def state(self) -> dict[str, Any]:
        """For a checkpoint, right before a report."""
        return {
            "stacked": self.stacked,
            "done": self.done,
            "reported": self.reported,
            "finite": self.finite,
            "curves": self.curves,
            "train_seconds": self.train_seconds,
            "lanes": [lane.state() for lane in self.lanes],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.done, self.reported, self.finite = state["done"], state["reported"], state["finite"]
        self.curves, self.train_seconds = state["curves"], state["train_seconds"]
        for lane, kept in zip(self.lanes, state["lanes"], strict=True):
            lane.restore(kept)

    def train(self, report: Report, checkpoint: Checkpoint | None) -> None:
        config = self.config
        boundaries = self.schedule.report_steps(config.reports)
        for progress, metrics in self.reported:
            report(progress, metrics)
        for number, boundary in enumerate(boundaries, start=1):
            if number < len(boundaries) and boundaries[number] == boundary:
                continue  # the next report is due at the same step, and speaks for this one
            if boundary <= self.done:
                continue
            train_losses = self.advance(self.done, boundary)
            scores = self.validate(train_losses)
            if not any(self.finite):
                raise Diverged(_means(self.untrained_metrics()))
            if "curves" in config.measures:
                self.curves.append({"progress": number / config.reports, **self.course(scores)})
            noise = self.gradient_noise(boundary) if "noise-scale" in config.measures else {}
            self.done = boundary
            self.reported.append((number / config.reports, _means(scores) | noise))
            if checkpoint and checkpoint.due and number < len(boundaries):
                checkpoint.keep(self.state())
            report(*self.reported[-1])

    def advance(self, start: int, stop: int) -> list[float]:
        """Train all lanes to step `stop`; the mean training loss of each replicate on the way."""
        began = time.perf_counter()
        losses: list[float] = []
        for lane in self.lanes:
            lane.advance(start, stop)
            losses += (lane.loss_sum / (stop - start)).tolist()  # the one wait for the device
            lane.loss_sum.zero_()
        self.train_seconds += time.perf_counter() - began
        return losses

    def validate(self, train_losses: Sequence[float]) -> list[dict[str, float]]:
        """Metrics of each replicate at a report; a diverged one carries its untrained network's."""
        self.validation = [lane.evaluate(self.parts.validation) for lane in self.lanes]
        scores = _per_replicate(self.validation, "validation")
        for position, (score, train_loss) in enumerate(zip(scores, train_losses, strict=True)):
            self.finite[position] &= math.isfinite(train_loss) and math.isfinite(score["validation_loss"])
            score["running_train_loss"] = train_loss
        return self.with_untrained(scores)

    def course(self, scores: list[dict[str, float]]) -> dict[str, list[float | None]]:
        """Of each replicate at a report: its scores, the loss of the whole training part, and the sharpness there."""
        training = _per_replicate([lane.evaluate(self.parts.train) for lane in self.lanes], "train")
        rows = [{**score, **train} for score, train in zip(scores, training, strict=True)]
        columns: dict[str, list[float]] = {name: [row[name] for row in rows] for name in rows[0]}
        if "sharpness" in self.config.measures:
            found = [lane.sharpness() for lane in self.lanes]
            columns |= {name: [value for lane in found for value in lane[name]] for name in found[0]}
        # JSON has no infinity; what left the finite numbers is told by `diverged`.
        return {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}

    def gradient_noise(self, step: int) -> dict[str, float]:
        """The parts of the noise scale at a report, means over the finite replicates; nothing where there is none."""
        found = [noise for lane in self.lanes for noise in lane.gradient_noise(step)]
        parts = [
            {"gradient_norm2": noise.norm2, "gradient_variance": noise.variance}
            for noise, finite in zip(found, self.finite, strict=True)
            if finite and math.isfinite(noise.norm2) and math.isfinite(noise.variance)
        ]
        return _means(parts) if parts else {}

    def with_untrained(self, scores: list[dict[str, float]]) -> list[dict[str, float]]:
        """The scores, with those of the untrained network in the place of each diverged replicate's."""
        return [
            score if finite else {name: self.untrained_metrics()[position][name] for name in score}
            for position, (score, finite) in enumerate(zip(scores, self.finite, strict=True))
        ]

    def untrained_metrics(self) -> list[dict[str, float]]:
        """The metrics of each replicate before its first step, computed when first needed."""
        if self.untrained is None:
            validation = self.untrained_scores(self.parts.validation, "validation")
            training = self.untrained_scores(self.parts.train, "train")
            self.untrained = [
                v | t | {"running_train_loss": t["train_loss"]} for v, t in zip(validation, training, strict=True)
            ]
        return self.untrained

    def untrained_scores(self, examples: Examples, part: str) -> list[dict[str, float]]:
        """The scores of each replicate's network before its first step."""
        config, task, train = self.config, self.task, self.parts.train
        evaluations = [Lane(config, task, (seed,), self.schedule, train).evaluate(examples) for seed in config.seeds]
        return _per_replicate(evaluations, part)

    def result(self, test: Examples | None) -> TrainResult:
        """The result after the last report, whose validation it reuses."""
        validation = _per_replicate(self.validation, "validation")
        training = _per_replicate([lane.evaluate(self.parts.train) for lane in self.lanes], "train")
        replicates = self.with_untrained([{**v, **t} for v, t in zip(validation, training, strict=True)])
        if test is not None:
            tested = _per_replicate([lane.evaluate(test) for lane in self.lanes], "test")
            if not all(self.finite):
                untrained = self.untrained_scores(test, "test")
                tested = [t if ok else u for t, u, ok in zip(tested, untrained, self.finite, strict=True)]
            replicates = [{**replicate, **scores} for replicate, scores in zip(replicates, tested, strict=True)]
        means = _means(replicates)
        n_validation = len(self.parts.validation)
        accuracy = means["validation_accuracy"]
        loss_errors = [error for evaluation in self.validation for error in evaluation.loss_standard_error]
        finite_errors = [error for error in loss_errors if math.isfinite(error)]
        micro = min(lane.micro_batch_size for lane in self.lanes)
        accumulation = math.ceil(self.config.batch_size / micro)
        largest = max(phase.batch_size for phase in self.schedule.phases)
        batch_norm = largest > micro and models.has_batch_norm(self.lanes[0].model)
        examples = self.schedule.examples * len(self.config.seeds)
        return TrainResult(
            metrics=means,
            replicates=replicates,
            validation_standard_errors={
                "validation_accuracy": math.sqrt(accuracy * (1 - accuracy) / n_validation),
                "validation_loss": sum(finite_errors) / max(len(finite_errors), 1),
            },
            diverged=[not finite for finite in self.finite],
            train_seconds=self.train_seconds,
            examples_per_second=examples / self.train_seconds,
            device=device_name(self.device),
            threads=torch.get_num_threads(),
            stacked=self.stacked,
            micro_batch_size=min(micro, self.config.batch_size),
            grad_accum_steps=accumulation,
            peak_memory_bytes=memory.peak_bytes(self.device),
            tail_loss_variance=[variance for lane in self.lanes for variance in lane.tail_loss_variance()],
            curves=self.curves,
            plateau_steps=[steps for lane in self.lanes for steps in lane.plateau_steps()],
            flags=["batch norm over micro-batches: not the statistics of the whole batch"] if batch_norm else [],
        )


def device_name(device: torch.device) -> str:
    """`cpu`, or the type with the product's name, such as `cuda (NVIDIA H100)`."""
    if device.type != "cuda":
        return device.type
    return f"cuda ({torch.cuda.get_device_name(device)})"


def _per_replicate(evaluations: list[Evaluation], part: str) -> list[dict[str, float]]:
    return [
        {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        for evaluation in evaluations
        for loss, accuracy in zip(evaluation.loss, evaluation.accuracy, strict=True)
    ]


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}
