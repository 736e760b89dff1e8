"""What a designed study will cost on this machine, and how narrow its intervals will be, before the first run."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from scipy import special

from batchlaw.errors import StudyError
from batchlaw.objectives.runtime import Runtime
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import schedule_of
from batchlaw.recipe.space import cells, companions, point_of
from batchlaw.spec import StudySpec, levels_of
from batchlaw.train.data import load_parts
from batchlaw.train.stacking import can_stack, seconds_a_step, stack_of, stack_size

# Standard errors of an optimum with five seeds, in octaves: medians over the identified levels of
# studies/claim-scaling-rule.toml, for momentum and for Adam.
TYPICAL_ERRORS = (0.07, 0.37)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The size of a designed study, and the time it takes."""

    study: str
    cells: int
    replicates: int
    runs: int
    # Of a staggered grid the batch sizes, and the learning rates (base_lr) that have them.
    staggered: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ()
    workers: int
    seconds: float | None  # of wall time; None for a training function of one's own, which is not measured
    slope_half_widths: tuple[float, float] | None  # of the expected interval, from … to; None with one learning rate

    def lines(self) -> list[str]:
        """For people."""
        time = (
            "unknown for an objective of your own"
            if self.seconds is None
            else str(timedelta(seconds=round(self.seconds)))
        )
        lines = [
            f"{self.study}: {self.cells} cells × {self.replicates} replicates = {self.runs} runs",
            *(
                f"batch sizes {', '.join(map(str, sizes))} at base_lr {', '.join(f'{rate:.4g}' for rate in rates)}"
                for sizes, rates in self.staggered
            ),
            f"about {time} of training with {self.workers} workers on this machine",
        ]
        if self.slope_half_widths:
            widths = " to ".join(f"± {width:.2f}" for width in self.slope_half_widths)
            lines.append(
                f"expected interval of a slope over the learning rates: {widths}, where every optimum is identified as "
                "well as on digits (with momentum, with Adam)"
            )
        return lines


def cost_of(spec: StudySpec, runtime: Runtime, workers: int) -> Cost:
    """The cost of a study, from a few measured steps at every batch size.

    Raises:
        StudyError: the study has no [claim], or an adaptive one, whose batch sizes are not known beforehand.
    """
    if spec.claim is None:
        raise StudyError(f"study {spec.name!r} was searched; only a designed study, with [claim], has a known cost")
    if spec.claim.design == "adaptive":
        raise StudyError(f"study {spec.name!r} has an adaptive design, whose batch sizes are not known beforehand")
    n = spec.claim.replicates
    combinations = cells(spec)
    x = np.log2(levels_of(spec.space.base_lr))
    spread = float(np.sqrt(((x - x.mean()) ** 2).sum()))
    t = float(special.stdtrit(n - 1, 1 - spec.claim.alpha / 2))
    low, high = (t * error * (5 / n) ** 0.5 for error in TYPICAL_ERRORS)
    return Cost(
        study=spec.name,
        cells=len(combinations),
        replicates=n,
        runs=n * len(combinations),
        staggered=_staggered(spec) if spec.is_staggered else (),
        workers=workers,
        seconds=None if spec.task is None else _seconds_together(spec, runtime, workers),
        slope_half_widths=(low / spread, high / spread) if spread else None,
    )


def _staggered(spec: StudySpec) -> tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]:
    """Each row of batch sizes of a staggered grid, with its learning rates."""
    rows: dict[tuple[int, ...], list[float]] = {}
    for base_lr, sizes in spec.batch_sizes.items():
        rows.setdefault(tuple(sizes.values()), []).append(base_lr)
    return tuple((sizes, tuple(rates)) for sizes, rates in rows.items())


def _seconds_together(spec: StudySpec, runtime: Runtime, workers: int) -> float:
    """Seconds of all cells. All workers measure at the same time, since they slow each other down."""
    began = time.time()
    options = (spec, runtime.torch_device, runtime.data_dir, runtime.threads.given or 1, began)
    with _isolated(), ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = [pool.submit(_seconds, *options) for _ in range(workers)]
        seconds = [future.result() for future in measured]
    return max(starting for starting, _ in seconds) + sum(training for _, training in seconds) / workers**2


@contextmanager
def _isolated() -> Iterator[None]:
    """Keep processes that start in this context from importing modules of the working folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _seconds(spec: StudySpec, device: torch.device, data_dir: Path, threads: int, began: float) -> tuple[float, float]:
    """Seconds until this process had started, and of training all cells one after the other."""
    assert spec.task is not None and spec.claim is not None
    torch.set_num_threads(threads)
    train = load_parts(spec.task, device, data_dir).train
    starting = time.time() - began
    seeds = run_seeds(spec.arm.seed, spec.arm.replicates)
    configs = [derive(spec, point_of(cell, spec), seeds) for cell in cells(spec)]
    runs_a_second: dict[tuple[int, str], float] = {}  # steps of single runs in a second
    total = 0.0
    for slot, config in enumerate(configs):
        key = (config.batch_size, config.optimizer)
        if key not in runs_a_second:
            schedule = schedule_of(config)
            together = [config]
            if not spec.claim.times_steps:
                together += [configs[other] for other in companions(spec, slot)]
            size = stack_size(together, train, schedule) if can_stack(together) else 1
            stack = stack_of(together, size, train, schedule)
            runs_a_second[key] = size / seconds_a_step(stack, min(12, schedule.steps))
        total += config.steps * len(seeds) / runs_a_second[key]
    return starting, total
