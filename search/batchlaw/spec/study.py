"""`StudySpec`: a whole study file, and the rules that concern more than one of its tables."""

from string import Formatter
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from batchlaw.spec.arms import FEWEST_ROUNDS, Arm, Claim, Direction, Search
from batchlaw.spec.base import Frozen, Positive, refuse
from batchlaw.spec.budget import Budget
from batchlaw.spec.config import PLACEHOLDERS
from batchlaw.spec.dimensions import FloatRange, IntRange, extremes, fields_of, levels_of
from batchlaw.spec.grid import staggered
from batchlaw.spec.needs import NEAR_SADDLE, check_needs
from batchlaw.spec.schedule import Schedule
from batchlaw.spec.space import Space
from batchlaw.spec.task import DATASETS, Task

BUILTIN_METRICS: dict[str, Direction] = {"validation_accuracy": "maximize", "validation_loss": "minimize"}


class StudySpec(Frozen):
    """A study file."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    question: Annotated[str, StringConstraints(min_length=1)]
    task: Task | None = None
    # "package.module:function", or "ask": the trials come from `Study.ask` and end with `Study.tell`.
    objective: Annotated[str, StringConstraints(pattern=r"^(ask|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # any program; see objectives/program.py
    train_size: Positive | None = None  # examples in an epoch, with an objective or a command
    budget: Budget
    space: Space
    schedule: Schedule = Schedule()
    search: Search | None = None  # exactly one of search and claim
    claim: Claim | None = None

    @property
    def n_train(self) -> int:
        """The number of training examples: of the task, or as the study file gives it."""
        if self.task is not None:
            return self.task.n_train
        assert self.train_size is not None
        return self.train_size

    @property
    def user_code(self) -> str | None:
        """The objective or the command as text, None with a task. Workers run it only from a file on their machine."""
        return self.objective if self.command is None else " ".join(self.command)

    @property
    def arm(self) -> Arm:
        """The adaptive or the designed arm."""
        arm = self.search or self.claim
        assert arm is not None
        return arm

    @property
    def direction(self) -> Direction:
        """Whether the metric is maximized or minimized."""
        return self.arm.direction or BUILTIN_METRICS[self.arm.metric]

    @property
    def chance(self) -> float | None:
        """The score of guessing; None without a task."""
        return None if self.task is None else DATASETS[self.task.dataset].chance(self.arm.metric)

    @property
    def is_staggered(self) -> bool:
        """Whether each learning rate of a designed study has batch sizes of its own."""
        return self.claim is not None and self.claim.grid == "staggered"

    @property
    def batch_sizes(self) -> dict[float, dict[int, int]]:
        """Of a designed study: at each `base_lr`, ascending, the batch size trained for each level in [space]."""
        levels = sorted(levels_of(self.space.batch_size))
        return {
            base_lr: dict(zip(levels, staggered(levels, turn) if self.is_staggered else levels, strict=True))
            for turn, base_lr in enumerate(sorted(levels_of(self.space.base_lr)))
        }

    @property
    def trial_space(self) -> Space:
        """The space that trials are drawn from: [space], with every batch size of a staggered grid as a choice."""
        if not self.is_staggered:
            return self.space
        sizes = {size for at_rate in self.batch_sizes.values() for size in at_rate.values()}
        return self.space.model_copy(update={"batch_size": tuple(sorted(sizes))})

    @model_validator(mode="after")
    def _consistent(self) -> "StudySpec":
        self._check_arm_and_code()
        self._check_command()
        self._check_metric()
        self._check_train_sizes()
        self._check_batch_sizes()
        self._check_warmup()
        if self.claim is not None:
            self._check_design(self.claim)
        return self

    def _check_arm_and_code(self) -> None:
        if (self.search is None) == (self.claim is None):
            given = [name for name in ("search", "claim") if getattr(self, name) is not None]
            raise refuse("must give exactly one of [search] and [claim]", given, "search")
        given = [name for name in ("task", "objective", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("must give exactly one of [task], objective and command", given, "objective")
        if self.task is None and self.train_size is None:
            raise refuse(f"is required with {given[0]}: the number of examples in an epoch", None, "train_size")
        if self.task is not None and self.train_size is not None:
            raise refuse("belongs in [task]", self.train_size, "train_size")

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
        if self.task is None and arm.noise_scale:
            raise refuse("is measured in a [task] only", True, f"{table}.noise_scale")
        known = BUILTIN_METRICS.get(arm.metric)
        if self.task is not None and known is None:
            raise refuse(f"must be one of {', '.join(BUILTIN_METRICS)}", arm.metric, f"{table}.metric")
        if known is None and arm.direction is None:
            raise refuse(f"metric {arm.metric!r} needs maximize or minimize", None, f"{table}.direction")
        if known is not None and arm.direction not in (None, known):
            raise refuse(f"must be {known} for {arm.metric}", arm.direction, f"{table}.direction")

    def _check_train_sizes(self) -> None:
        if self.space.train_size is None:
            return
        if self.claim is None:
            raise refuse("is a factor of a claim; in a search it belongs in [task]", None, "space.train_size")
        if self.task is None:
            return
        left = DATASETS[self.task.dataset].n_train - self.task.n_validation
        for level in levels_of(self.space.train_size):
            if level > left:
                raise refuse(f"must be at most {left}, what validation_fraction leaves", level, "space.train_size")

    @property
    def _smallest_train_size(self) -> int:
        return min(extremes(self.space.train_size)) if self.space.train_size is not None else self.n_train

    def _check_batch_sizes(self) -> None:
        smallest = self._smallest_train_size
        sizes = fields_of(self.space.batch_size, "space.batch_size")
        if self.schedule.max_batch_size is not None:
            sizes.append(("schedule.max_batch_size", self.schedule.max_batch_size))
        for field, value in sizes:
            if value > smallest:
                raise refuse(f"must be at most {smallest}, the training size", value, field)

    def _check_warmup(self) -> None:
        first, longest = self.schedule.milestones[0], max(extremes(self.space.warmup_fraction))
        if longest > first and {"step", "batch-growth"} & set(extremes(self.space.decay)):
            message = f"must be at most schedule.milestones[0] = {first}: warmup and decay do not fit the budget"
            raise refuse(message, longest, "space.warmup_fraction")

    def _check_design(self, claim: Claim) -> None:
        """Check that every factor has levels, and enough of them over enough octaves for the hypotheses."""
        for name in type(self.space).model_fields:
            dimension = getattr(self.space, name)
            if isinstance(dimension, FloatRange) or (isinstance(dimension, IntRange) and not dimension.log2):
                raise refuse("a claim needs levels: give a list", dimension.model_dump(), f"space.{name}")
        if self.space.scaling_rule != "constant":
            # At one batch size a rule only relabels the base rate. Rules are judged by the slope of the best rate.
            raise refuse('must be "constant" in a claim', self.space.scaling_rule, "space.scaling_rule")
        check_needs(self.space, claim.hypotheses)
        if claim.design == "adaptive":
            self._check_adaptive(claim)
        largest = max(levels_of(self.trial_space.batch_size))
        if largest > self._smallest_train_size:
            bound = f"must be at most {self._smallest_train_size}, the training size"
            raise refuse(f"the largest batch size of a staggered grid {bound}", largest, "claim.grid")
        if "H18" in claim.hypotheses and self.task is not None:
            init_scale = self.task.model_options.init_scale
            if init_scale is None or init_scale > NEAR_SADDLE:
                raise refuse(f"H18 needs at most {NEAR_SADDLE}", init_scale, "task.model_options.init_scale")

    def _check_adaptive(self, claim: Claim) -> None:
        for name in type(self.space).model_fields:
            levels = extremes(getattr(self.space, name))
            if name not in ("batch_size", "base_lr") and len(levels) > 1:
                raise refuse("an adaptive design varies batch_size and base_lr only", list(levels), f"space.{name}")
        fewest = FEWEST_ROUNDS * len(levels_of(self.space.base_lr))
        if claim.runs is not None and claim.runs < fewest:
            raise refuse(f"must be at least {fewest}, {FEWEST_ROUNDS} for each learning rate", claim.runs, "claim.runs")
