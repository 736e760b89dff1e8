"""The results of the configurations of a run that has ended."""

import math

import torch

from batchlaw.errors import Diverged
from batchlaw.recipe.result import TrainResult
from batchlaw.train import memory, networks
from batchlaw.train.device import device_name
from batchlaw.train.examples import Examples
from batchlaw.train.loop import Run, means_of, scores_of


def results_of(run: Run, test: Examples | None) -> list[TrainResult | Diverged]:
    """The result of each configuration, or `Diverged` if no replicate stayed finite.

    Args:
        run: after `Run.train`; the validation of its last report is used.
        test: examples to score as well.
    """
    metrics, horizons = _metrics(run, test), run.horizon_metrics()
    tails = [variance for stack in run.stacks for variance in stack.tail_loss_variance()]
    plateaus = [steps for stack in run.stacks for steps in stack.plateau_steps()]
    seconds = [seconds / stack.members for stack, seconds in zip(run.stacks, run.stack_seconds, strict=True)
               for _ in range(stack.members)]  # fmt: skip
    micro_batch_size = min(stack.micro_batch_size for stack in run.stacks)
    results: list[TrainResult | Diverged] = []
    for position, config in enumerate(run.configs):
        at_horizons = run.replicates(position, horizons)
        if run.has_diverged(position) and not any(map(_has_score, at_horizons)):
            results.append(Diverged(means_of(run.replicates(position, run.untrained_metrics()))))
            continue
        replicates = [own | more for own, more in zip(run.replicates(position, metrics), at_horizons, strict=True)]
        means = means_of([{name: each[name] for name in each if "@" not in name} for each in replicates])
        train_seconds = sum(run.replicates(position, seconds))
        results.append(
            TrainResult(
                metrics=means,
                replicates=replicates,
                validation_standard_errors=_standard_errors(run, position, means["validation_accuracy"]),
                diverged=[not finite for finite in run.replicates(position, run.finite)],
                train_seconds=train_seconds,
                examples_per_second=run.schedule.examples * len(config.seeds) / train_seconds,
                device=device_name(run.device),
                threads=torch.get_num_threads(),
                stacked=run.size > 1,
                stack_size=run.size,
                stacked_base_lrs=_stacked_base_lrs(run, position),
                micro_batch_size=min(micro_batch_size, config.batch_size),
                grad_accum_steps=math.ceil(config.batch_size / micro_batch_size),
                peak_memory_bytes=memory.peak_bytes(run.device),
                tail_loss_variance=run.replicates(position, tails),
                curves=run.curves[position],
                plateau_steps=run.replicates(position, plateaus),
                flags=_flags(run, micro_batch_size),
            )
        )
    return results


def _metrics(run: Run, test: Examples | None) -> list[dict[str, float]]:
    """The final metrics of each member; a diverged member has those of its untrained network."""
    training = scores_of([stack.evaluate(run.parts.sample) for stack in run.stacks], "train")
    metrics = run.with_untrained([{**v, **t} for v, t in zip(run.validation, training, strict=True)])
    if test is None:
        return metrics
    tested = scores_of([stack.evaluate(test) for stack in run.stacks], "test")
    if not all(run.finite):
        untrained = run.untrained_scores(test, "test")
        tested = [t if finite else u for t, u, finite in zip(tested, untrained, run.finite, strict=True)]
    return [{**member, **scores} for member, scores in zip(metrics, tested, strict=True)]


def _has_score(at_horizons: dict[str, float]) -> bool:
    """Whether a member came to a horizon before it diverged."""
    ends = [name.partition("@")[2] for name in at_horizons if name.startswith("validation_loss@")]
    return any(f"diverged@{end}" not in at_horizons for end in ends)


def _standard_errors(run: Run, position: int, accuracy: float) -> dict[str, float]:
    """The sampling errors of one replicate's validation metrics: as measured, of an accuracy √(p(1-p)/n)."""
    errors = means_of([error for error in run.replicates(position, run.errors) if math.isfinite(sum(error.values()))])
    if run.task.context is None:  # of a text the bytes of a window are not independent
        n = len(run.parts.validation)
        errors = {"validation_loss": 0.0} | errors | {"validation_accuracy": math.sqrt(accuracy * (1 - accuracy) / n)}
    return errors


def _stacked_base_lrs(run: Run, position: int) -> list[float]:
    """The base learning rates that train in the same network as a configuration."""
    n = max(run.size // len(run.config.seeds), 1)
    start = position - position % n
    return [config.base_lr for config in run.configs[start : start + n]]


def _flags(run: Run, micro_batch_size: int) -> list[str]:
    """What to know about a result."""
    largest = max(phase.batch_size for phase in run.schedule.phases)
    if largest > micro_batch_size and networks.has_batch_norm(run.stacks[0].model):
        return ["batch norm over micro-batches: not the statistics of the whole batch"]
    return []
