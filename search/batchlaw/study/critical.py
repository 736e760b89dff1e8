"""The critical batch size of a study file: branches that are trained now, beside what the stored study shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlaw.errors import BatchlawError, StorageError, StudyError
from batchlaw.laws.critical import Critical, Measured
from batchlaw.results.plain import plain
from batchlaw.spec import StudySpec, extremes, fingerprint, read_spec
from batchlaw.study.code import code_of
from batchlaw.study.study import Study
from batchlaw.study.threads import check_threads, threads_kept

if TYPE_CHECKING:
    from batchlaw.measure.branches import Design
    from batchlaw.stats.branching import Branches

TOLERANCE = 0.2  # of the trunk's progress in a window, as the 20 % of arXiv:2410.21676


@dataclass(frozen=True, eq=False)
class Branched:
    """What branches of a trunk will cost, and what they show once they are trained."""

    design: "Design"
    seconds: float
    branches: tuple["Branches", ...]
    tolerance: float

    @property
    def cost(self) -> list[str]:
        """What is trained, as sentences."""
        plan = self.design
        sizes, places = (", ".join(map(str, values)) for values in (plan.sizes, plan.checkpoints))
        return [
            f"trunk of batch size {plan.batch_size} at rate {plan.rate(plan.batch_size):.3g}, checkpoints after "
            f"{places} examples",
            f"branches of batch size {sizes}, the rate moved by the {plan.rule} rule, for {plan.window} examples each",
            f"{plan.steps:,} steps, {plan.examples:,} examples, for each of {len(plan.seeds)} seeds: about "
            f"{self.seconds:.0f} s of training on this machine",
        ]

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Both readings at each checkpoint."""
        rows = []
        for examples, found in zip(self.design.checkpoints, self.branches, strict=False):
            where = f"after {examples} examples"
            told = found.largest_not_worse(self.tolerance)
            rows.append(Measured("branches, largest not worse", where, told, f"loses {self.tolerance:.0%} at most"))
            rows.append(Measured("branches, hyperbola", where, found.critical()))
        return tuple(rows)

    @property
    def schedule(self) -> dict[str, Any]:
        """A batch-size warmup: doubled where the branches allow it, the rate moved by the same rule."""
        plan = self.design
        phases = [{"from_examples": 0, "batch_size": plan.batch_size, "lr": plan.rate(plan.batch_size)}]
        for examples, found in zip(plan.checkpoints[:-1], self.branches, strict=False):
            size = int(found.largest_not_worse(self.tolerance).value or plan.batch_size)
            if size > phases[-1]["batch_size"]:
                phases.append({"from_examples": examples, "batch_size": size, "lr": plan.rate(size)})
        told: dict[str, Any] = plain({
            "study": plan.spec.name, "optimizer": plan.config.optimizer, "rule": plan.rule,
            "examples": plan.budget_examples, "phases": phases,
        })  # fmt: skip
        return told


def branched(
    file: Path, storage: str, *, batch_size: int | None = None, base_lr: float | None = None, checkpoints: int = 4,
    window: int | None = None, tolerance: float = TOLERANCE, dry_run: bool = False, device: str = "auto",
    threads: int | None = None, data_dir: Path | None = None, download: bool = False,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Branched, Critical]:  # fmt: skip
    """Train the branches of a study file, and put them beside what the study in the database shows.

    Args:
        file: the study file, of a built-in task.
        storage: where the study may be registered.
        batch_size: of the trunk; None: the smallest of the space.
        base_lr: of the trunk; None: the only one of the space, or that with the fewest steps to the hardest target.
        checkpoints: of the trunk.
        window: examples of a branch.
        tolerance: share of the trunk's progress that a batch size may lose, in (0, 1).
        dry_run: tell the cost alone.
        device: to train on.
        threads: of the CPU.
        data_dir: of the data sets.
        download: the data set, if it is missing.
        tick: told the progress.

    Raises:
        BatchlawError: an argument has a value that cannot be used, or no rate is known for the trunk.
    """
    from batchlaw.data_files import prepare
    from batchlaw.measure import branches as training

    if not 0 < tolerance < 1:
        raise BatchlawError("must lie between 0 and 1", argument="tolerance", got=tolerance)
    spec = read_spec(file)
    if spec.task is None:
        raise BatchlawError(f"study {spec.name!r} runs {spec.user_code!r}; branches need a [task]")
    shown = _shown(spec, storage)
    size = batch_size or int(min(extremes(spec.space.batch_size)))
    plan = training.design(
        spec, batch_size=size, base_lr=base_lr or _rate(spec, size, shown), checkpoints=checkpoints, window=window
    )
    runtime = code_of(None, file).runtime(spec, device, data_dir, threads=check_threads(threads))
    prepare(spec.task, runtime.data_dir, download=download)
    with threads_kept():
        seconds = training.seconds_of(plan, runtime)
        found = () if dry_run else tuple(training.branched(plan, runtime, tick))
    branches = Branched(plan, seconds, found, tolerance)
    told = shown or Critical(spec.name, (), spec.claim.alpha if spec.claim else 0.05)
    from batchlaw.laws.critical_study import with_measured

    return branches, with_measured(told, branches.measured)


def _shown(spec: StudySpec, storage: str) -> Critical | None:
    """What the stored study shows; None where it is not there, or has not ended."""
    from batchlaw.laws.critical_study import critical_of_study

    try:
        stored = Study.open(spec.name, storage).stored
        return critical_of_study(stored) if fingerprint(stored.spec) == fingerprint(spec) else None
    except (StorageError, StudyError):
        return None


def _rate(spec: StudySpec, batch_size: int, shown: Critical | None) -> float:
    levels = extremes(spec.space.base_lr)
    if len(set(levels)) == 1:
        return float(levels[0])
    for series in reversed(shown.series if shown else ()):
        at = series.lr[series.batch_size == batch_size]
        if len(at) and np.isfinite(at[0]):
            from batchlaw.recipe.scaling import family_factor

            family, momentum = (extremes(dimension)[0] for dimension in (spec.space.optimizer, spec.space.momentum))
            return float(at[0]) / (family_factor(family, momentum) if spec.space.family_factors else 1.0)
    raise BatchlawError(
        f"is needed: the space of study {spec.name!r} has several, and no results in the database tell which",
        argument="base_lr", got=None,
    )  # fmt: skip
