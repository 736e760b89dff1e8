"""The models of a study file."""

from math import log2
from string import Formatter
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from batchlaw.spec.arms import FEWEST_ROUNDS, NEAR_SADDLE, NEEDS, Arm, Claim, Direction, Need, Search
from batchlaw.spec.base import Frozen, refuse
from batchlaw.spec.config import PLACEHOLDERS
from batchlaw.spec.dimensions import FloatRange, IntRange, extremes, levels_of
from batchlaw.spec.space import Space
from batchlaw.spec.task import DATASETS, Task

BUILTIN_METRICS: dict[str, Direction] = {"validation_accuracy": "maximize", "validation_loss": "minimize"}
Positive = Annotated[int, Field(ge=1)]


class Budget(Frozen):
    """How long a trial trains: exactly one of epochs, steps, examples, lr_time. Always rounded down to whole steps."""

    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Positive | None = None
    examples: Positive | None = None
    lr_time: Annotated[float, Field(gt=0)] | None = None  # steps = lr_time / peak_lr, within min_steps … max_steps
    min_steps: Positive | None = None
    max_steps: Positive | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [name for name in ("epochs", "steps", "examples", "lr_time") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("must give exactly one of epochs, steps, examples, lr_time", given)
        bounds = (self.min_steps, self.max_steps)
        if self.lr_time is None:
            if bounds != (None, None):
                raise refuse(
                    f"min_steps and max_steps bound lr_time; with {given[0]} they have no meaning", list(bounds)
                )
        elif self.min_steps is None or self.max_steps is None or self.min_steps > self.max_steps:
            raise refuse("lr_time needs min_steps <= max_steps", list(bounds))
        return self


class Schedule(Frozen):
    """Fixed facts of the decays `step` and `batch-growth`."""

    # Smith et al. 2018 divide by 5 at .3, .6 and .8 of the budget (Zagoruyko & Komodakis' schedule).
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.3, 0.6, 0.8)
    decay_factor: Annotated[int, Field(ge=2)] = 5
    max_batch_size: Positive | None = None  # cap of batch-growth; None is the training size

    @model_validator(mode="after")
    def _increasing(self) -> "Schedule":
        if any(later <= earlier for earlier, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise refuse("must increase", list(self.milestones), "milestones")
        return self


class StudySpec(Frozen):
    """A study file."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    question: Annotated[str, StringConstraints(min_length=1)]
    task: Task | None = None
    # "package.module:function", or "ask" where trials are asked for and told; see `Study.ask`
    objective: Annotated[str, StringConstraints(pattern=r"^(ask|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # any program; see search/command.py
    train_size: Positive | None = None  # examples in an epoch of one's own objective or command
    budget: Budget
    space: Space
    schedule: Schedule = Schedule()
    search: Search | None = None  # exactly one of both
    claim: Claim | None = None

    @property
    def n_train(self) -> int:
        """Training examples: of the task, or as the study states them for its own objective."""
        if self.task is not None:
            return self.task.n_train
        assert self.train_size is not None
        return self.train_size

    @property
    def user_code(self) -> str | None:
        """What runs in place of a task, in words; workers run it only from a file on their machine."""
        return self.objective if self.command is None else " ".join(self.command)

    @property
    def arm(self) -> Arm:
        """The adaptive or the designed arm."""
        arm = self.search or self.claim
        assert arm is not None
        return arm

    @property
    def direction(self) -> Direction:
        """Of the metric."""
        return self.arm.direction or BUILTIN_METRICS[self.arm.metric]

    @property
    def chance(self) -> float | None:
        """The metric of a network that guesses; None without a built-in task."""
        return None if self.task is None else DATASETS[self.task.dataset].chance(self.arm.metric)

    @model_validator(mode="after")
    def _consistent(self) -> "StudySpec":
        if (self.search is None) == (self.claim is None):
            given = [name for name in ("search", "claim") if getattr(self, name) is not None]
            raise refuse("must give exactly one of [search] and [claim]", given, "search")
        given = [name for name in ("task", "objective", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("must give exactly one of [task], objective and command", given, "objective")
        if self.task is None and self.train_size is None:
            raise refuse(f"needs train_size, its examples an epoch, with {given[0]}", None, "train_size")
        self._check_command()
        if self.task is not None and self.train_size is not None:
            raise refuse("belongs in [task]", self.train_size, "train_size")
        if self.task is None and self.arm.noise_scale:
            raise refuse("is measured in a [task] only", True, f"{'search' if self.search else 'claim'}.noise_scale")
        self._check_metric()
        self._check_train_sizes()
        smallest = min(extremes(self.space.train_size)) if self.space.train_size is not None else self.n_train
        limit = f"must be at most {smallest}, the training size"
        for position, value in enumerate(extremes(self.space.batch_size)):
            if value > smallest:
                field = "space.batch_size" + (".low", ".high")[position] * hasattr(self.space.batch_size, "low")
                raise refuse(limit, value, field)
        if self.schedule.max_batch_size is not None and self.schedule.max_batch_size > smallest:
            raise refuse(limit, self.schedule.max_batch_size, "schedule.max_batch_size")
        first = self.schedule.milestones[0]
        if {"step", "batch-growth"} & set(extremes(self.space.decay)):
            longest = max(extremes(self.space.warmup_fraction))
            if longest > first:
                raise refuse(
                    f"must be at most schedule.milestones[0] = {first}: warmup and decay do not fit the budget",
                    longest,
                    "space.warmup_fraction",
                )
        return self

    def _check_command(self) -> None:
        for position, part in enumerate(self.command or ()):
            try:
                names = [name for _, name, _, _ in Formatter().parse(part) if name is not None]
            except ValueError as error:
                raise refuse(f"is no template: {error}; write {{{{ for a brace", part, f"command.{position}") from None
            for name in names:
                if name not in PLACEHOLDERS:
                    raise refuse(f"placeholder must be one of {', '.join(PLACEHOLDERS)}", name, f"command.{position}")

    def _check_metric(self) -> None:
        arm, table = self.arm, "search" if self.search else "claim"
        known = BUILTIN_METRICS.get(arm.metric)
        if self.task is not None and known is None:
            raise refuse(f"must be one of {', '.join(BUILTIN_METRICS)}", arm.metric, f"{table}.metric")
        if known is None and arm.direction is None:
            raise refuse(f"metric {arm.metric!r} needs maximize or minimize", None, f"{table}.direction")
        if known is not None and arm.direction not in (None, known):
            raise refuse(f"must be {known} for {arm.metric}", arm.direction, f"{table}.direction")

    @model_validator(mode="after")
    def _designed(self) -> "StudySpec":
        """What a designed arm asks of the space: levels, and enough of them over enough octaves."""
        if self.claim is None:
            return self
        for name in type(self.space).model_fields:
            dimension = getattr(self.space, name)
            if isinstance(dimension, FloatRange) or (isinstance(dimension, IntRange) and not dimension.log2):
                raise refuse("a claim needs levels: give a list", dimension.model_dump(), f"space.{name}")
        if self.space.scaling_rule != "constant":
            # A rule at one batch size only relabels the base rate; the slope of the best rate is what judges it.
            raise refuse('must be "constant" in a claim', self.space.scaling_rule, "space.scaling_rule")
        for hypothesis in self.claim.hypotheses:
            for need in NEEDS[hypothesis]:
                self._check_need(hypothesis, need)
        self._check_adaptive(self.claim)
        if "H18" in self.claim.hypotheses and self.task is not None:
            init_scale = self.task.model_options.init_scale
            if init_scale is None or init_scale > NEAR_SADDLE:
                raise refuse(f"H18 needs at most {NEAR_SADDLE}", init_scale, "task.model_options.init_scale")
        return self

    def _check_adaptive(self, claim: Claim) -> None:
        if claim.design != "adaptive":
            return
        for name in type(self.space).model_fields:
            levels = extremes(getattr(self.space, name))
            if name not in ("batch_size", "base_lr") and len(levels) > 1:
                raise refuse("an adaptive design varies batch_size and base_lr alone", list(levels), f"space.{name}")
        fewest = FEWEST_ROUNDS * len(levels_of(self.space.base_lr))
        if claim.runs is not None and claim.runs < fewest:
            raise refuse(f"must be at least {fewest}, {FEWEST_ROUNDS} for each learning rate", claim.runs, "claim.runs")

    def _check_need(self, hypothesis: str, need: Need) -> None:
        dimension = getattr(self.space, need.factor)
        levels = levels_of(dimension) if dimension is not None else ()
        missing = [value for value in need.values if value not in levels]
        if missing:
            raise refuse(
                f"{hypothesis} needs {', '.join(map(str, missing))} as well", list(levels), f"space.{need.factor}"
            )
        scale = [1 / (1 - level) for level in levels] if need.factor == "momentum" else levels
        span = log2(max(scale) / min(scale)) if need.octaves and levels else 0.0
        if len(levels) < need.levels or span < need.octaves - 0.01:
            octaves = f" over {need.octaves:g} octaves" if need.octaves else ""
            got = f"{len(levels)} over {span:.1f}" if need.octaves else len(levels)
            raise refuse(f"{hypothesis} needs {need.levels} levels or more{octaves}", got, f"space.{need.factor}")

    def _check_train_sizes(self) -> None:
        if self.space.train_size is None:
            return
        if self.claim is None:
            raise refuse("is a factor of a claim; of a search it belongs in [task]", None, "space.train_size")
        if self.task is None:
            return
        left = DATASETS[self.task.dataset].n_train - self.task.n_validation
        for level in levels_of(self.space.train_size):
            if level > left:
                raise refuse(f"must be at most {left}, what validation_fraction leaves", level, "space.train_size")


__all__ = ["BUILTIN_METRICS", "DATASETS", "Budget", "Claim", "Schedule", "Search", "Space", "StudySpec"]
