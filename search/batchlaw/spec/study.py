"""`StudySpec`: a whole study file, and the rules that concern more than one of its tables."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from batchlaw.errors import StudyError
from batchlaw.spec.arms import FEWEST_ROUNDS, Arm, Claim, Direction, Search
from batchlaw.spec.base import Positive, refuse
from batchlaw.spec.budget import Budget
from batchlaw.spec.config import RESERVED
from batchlaw.spec.dimensions import FloatRange, IntRange, extremes, fields_of, levels_of
from batchlaw.spec.families import DECOUPLED, FAMILIES, family_of
from batchlaw.spec.grid import staggered
from batchlaw.spec.knobs import AT_MILESTONES, KNOBS, Count
from batchlaw.spec.log import Log
from batchlaw.spec.needs import NEAR_SADDLE, TO_TARGET, check_needs, check_timescale
from batchlaw.spec.parameters import Parameter, check_parameters
from batchlaw.spec.program import DEFAULTS, ProgramKeys, check_program
from batchlaw.spec.requirements import SOURCES, check_requirements
from batchlaw.spec.schedule import Schedule
from batchlaw.spec.space import Space
from batchlaw.spec.start import check_start
from batchlaw.spec.task import Task

BUILTIN_METRICS: dict[str, Direction] = {
    "validation_accuracy": "maximize",
    "validation_loss": "minimize",
    "validation_bits_per_byte": "minimize",  # of a text: the loss over log 2
}

# Absent where not given, so that fingerprints stay.
_NEW = ("question", "tokens_per_example", "budget", "parameters", "log")


class StudySpec(ProgramKeys):
    """A study file."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    question: Annotated[str, StringConstraints(min_length=1)] | None = None
    task: Task | None = None
    # "package.module:function", or "ask": the trials come from `Study.ask` and end with `Study.tell`.
    objective: Annotated[str, StringConstraints(pattern=r"^(ask|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] | None = None
    train_size: Positive | None = None  # examples in an epoch, with an objective or a command
    tokens_per_example: Positive | None = None  # with it budgets and batches are known in tokens, too
    budget: Budget | None = None
    space: Space = Space()
    parameters: dict[str, Parameter] = Field(default_factory=dict)  # the user's own hyperparameters
    schedule: Schedule = Schedule()
    search: Search | None = None  # exactly one of search and claim
    claim: Claim | None = None
    log: Log | None = None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later where it is not given, as of stored studies: their fingerprints stay."""
        written: dict[str, Any] = write(self)
        return {
            name: value
            for name, value in written.items()
            if (value or name not in _NEW) and (name not in DEFAULTS or value != DEFAULTS[name])
        }

    @property
    def n_train(self) -> Count:
        """The number of training examples: of the task, or as the study file gives it, if it does."""
        return self.task.n_train if self.task is not None else self.train_size  # type: ignore[return-value]

    @property
    def example_tokens(self) -> int | None:
        """The tokens of an example, if they are known: of a text, or as the study file gives them."""
        return self.tokens_per_example if self.task is None else self.task.context

    @property
    def purpose(self) -> str:
        """The question; of a study that states none, one that names what it searches."""
        if self.question is not None:
            return self.question
        if self.claim is not None:
            return f"What do designed runs say of {', '.join(self.claim.hypotheses)}?"
        return f"Which {', '.join(self.searched).replace('_', ' ') or 'configuration'} is best?"

    @property
    def has_folds(self) -> bool:
        """Whether its examples can be divided otherwise into training and validation."""
        return self.task is not None and self.task.context is None

    def on_fold(self, fold: int) -> "StudySpec":
        """The study on another division of its examples than its own; itself for 0."""
        if not fold or self.task is None:
            return self
        return self.model_copy(update={"task": self.task.model_copy(update={"fold": self.task.fold + fold})})

    @property
    def searched(self) -> tuple[str, ...]:
        """The hyperparameters and parameters that have several values."""
        return tuple(name for name, dimension in self.dimensions.items() if len(extremes(dimension)) > 1)

    def values_of(self, name: str) -> tuple[Any, ...]:
        """Every choice of a hyperparameter or parameter, its fixed value, or both ends of its range."""
        return extremes(self.dimensions[name])

    @property
    def dimensions(self) -> dict[str, Any]:
        """By hyperparameter and parameter: a fixed value, choices or a range; None where the study has none."""
        knobs = {knob.name: getattr(self.space, knob.name) for knob in KNOBS}
        return knobs | {name: parameter.dimension for name, parameter in self.parameters.items()}

    def require(self, what: str, *fields: str) -> None:
        """Make sure that the study has what something needs, so that the configurations of its trials have it, too.

        Args:
            what: needs it, such as "a law".
            fields: of `batchlaw.spec.requirements.SOURCES`.

        Raises:
            StudyError: it has not.
        """
        has = {"train_size": self.n_train, "budget": self.budget}
        for field in fields:
            if (has[field] if field in has else getattr(self.space, field)) is None:
                name, place = SOURCES[field]
                raise StudyError(f"study {self.name!r} has no {name} ({place}), and {what} needs one")

    @property
    def user_code(self) -> str | None:
        """The objective or the command as text, None with a task. Workers run it only from a file on their machine."""
        if self.command is None:
            return self.objective
        return " ".join(part if isinstance(part, str) else " ".join(part.args) for part in self.command)

    @property
    def own_optimizers(self) -> tuple[str, ...]:
        """The optimizers of the user's own, such as "timm.optim:Lion as adamw"."""
        return tuple(name for name in extremes(self.space.optimizer) if FAMILIES[name].by_path)

    @property
    def named_code(self) -> str | None:
        """All code that is run only from a file on a worker's machine: `user_code`, or optimizers of the user's own."""
        return self.user_code or ", ".join(self.own_optimizers) or None

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
        return None if self.task is None else self.task.facts.chance(self.arm.metric)

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
        check_requirements(self)
        self._check_parameters()
        check_program(self)
        self._check_metric()
        self._check_train_sizes()
        self._check_batch_sizes()
        self._check_warmup()
        self._check_optimizers()
        self._check_horizons()
        if self.claim is not None:
            self._check_design(self.claim)
        if self.search is not None:
            check_start(self.search.start, self)
        return self

    def _check_arm_and_code(self) -> None:
        if (self.search is None) == (self.claim is None):
            given = [name for name in ("search", "claim") if getattr(self, name) is not None]
            raise refuse("must give exactly one of [search] and [claim]", given, "search")
        given = [name for name in ("task", "objective", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("must give exactly one of [task], objective and command", given, "objective")
        if self.task is not None:
            for name in ("train_size", "parameters", "tokens_per_example"):
                if getattr(self, name):
                    why = "belongs in [task]" if name == "train_size" else "goes with an objective or a command"
                    raise refuse(why, self.model_dump(mode="json")[name], name)
            if self.budget is not None and self.budget.tokens is not None and self.task.context is None:
                raise refuse("is of a text; use examples or epochs", self.budget.tokens, "budget.tokens")

    def _check_parameters(self) -> None:
        space = {knob.name: getattr(self.space, knob.name) for knob in KNOBS}
        given = {name: dimension for name, dimension in space.items() if dimension is not None}
        try:
            check_parameters(self.parameters, RESERVED, given)
        except PydanticCustomError as error:
            context = error.context or {}
            raise refuse(context["message"], context["got"], f"parameters.{context['field']}") from None

    def _check_metric(self) -> None:
        arm, table = self.arm, "search" if self.search else "claim"
        if self.task is None and arm.noise_scale:
            raise refuse("is measured in a [task] only", True, f"{table}.noise_scale")
        known = BUILTIN_METRICS.get(arm.metric)
        if self.task is not None and known is None:
            raise refuse(f"must be one of {', '.join(BUILTIN_METRICS)}", arm.metric, f"{table}.metric")
        if arm.metric == "validation_bits_per_byte" and self.task is not None and self.task.context is None:
            raise refuse("is of a text", arm.metric, f"{table}.metric")
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
        for level in levels_of(self.space.train_size):
            if level > self.task.n_left:
                raise refuse(
                    f"must be at most {self.task.n_left}, what validation_fraction leaves", level, "space.train_size"
                )

    @property
    def _smallest_train_size(self) -> Count:
        return min(extremes(self.space.train_size)) if self.space.train_size is not None else self.n_train

    def _check_batch_sizes(self) -> None:
        smallest = self._smallest_train_size
        if smallest is None or self.space.batch_size is None:
            return
        sizes = fields_of(self.space.batch_size, "space.batch_size")
        if self.schedule.max_batch_size is not None:
            sizes.append(("schedule.max_batch_size", self.schedule.max_batch_size))
        for field, value in sizes:
            if value > smallest:
                raise refuse(f"must be at most {smallest}, the training size", value, field)

    def _check_warmup(self) -> None:
        longest, decays = max(extremes(self.space.warmup_fraction)), set(extremes(self.space.decay))
        first, flat = self.schedule.milestones[0], 1 - self.schedule.cooldown_fraction
        for at_most, what, bound in (
            (first, f"schedule.milestones[0] = {first}", set(AT_MILESTONES)),
            (flat, f"1 - schedule.cooldown_fraction = {flat:g}", {"wsd"}),
        ):
            if longest > at_most and bound & decays:
                message = f"must be at most {what}: warmup and decay do not fit the budget"
                raise refuse(message, longest, "space.warmup_fraction")

    def _check_optimizers(self) -> None:
        families = extremes(self.space.optimizer)
        averaging = [name for name in families if not FAMILIES[name].scheduled]
        if averaging and self.task is not None and self.task.has_batch_norm:
            message = (
                f'{averaging[0]} scores an average of weights, of which batch norm has no statistics: norm = "group"'
            )
            raise refuse(message, self.task.model_options.norm, "task.model_options.norm")
        if own := self.own_optimizers:
            if self.task is None:
                raise refuse(
                    "of your own goes with a [task]; other code builds its optimizer", own[0], "space.optimizer"
                )
            if False in extremes(self.space.bias_correction):
                raise refuse(f"is of adam and adamw, and {own[0]!r} is neither", False, "space.bias_correction")
        if self.space.weight_decay_tau is not None and not set(map(family_of, families)) & set(DECOUPLED):
            raise refuse(f"is for {', '.join(DECOUPLED)}", list(families), "space.weight_decay_tau")

    def _check_horizons(self) -> None:
        horizons, field = self.schedule.horizons, "schedule.horizons"
        if horizons is None:
            return
        if self.claim is None or self.claim.design != "factorial":
            raise refuse("are scored by a factorial [claim]", list(horizons), field)
        if self.task is None:
            raise refuse("need a [task], whose runs can branch", list(horizons), field)
        if extremes(self.space.decay) != ("wsd",):
            raise refuse('need space.decay = "wsd"', list(horizons), field)
        if averaging := [name for name in extremes(self.space.optimizer) if not FAMILIES[name].scheduled]:
            raise refuse(f"need a cooldown, which {averaging[0]} has not", list(horizons), field)
        if self.space.weight_decay_tau is not None:
            raise refuse("have budgets of their own, and weight_decay_tau is of one", list(horizons), field)
        if self.budget is not None and self.budget.lr_time is not None:
            raise refuse("are shares of one budget, and lr_time gives each rate its own", list(horizons), field)

    def _check_design(self, claim: Claim) -> None:
        """Check that every factor has levels, and enough of them over enough octaves for the hypotheses."""
        dimensions = {f"space.{name}": getattr(self.space, name) for name in type(self.space).model_fields}
        for name, parameter in self.parameters.items():
            dimensions[f"parameters.{name}"] = parameter.dimension
            if parameter.when is not None:
                message = "a claim crosses all levels: drop the condition"
                raise refuse(message, parameter.when, f"parameters.{name}.when")
            levels = extremes(parameter.dimension)
            if len({isinstance(level, str) for level in levels}) > 1:
                raise refuse("the levels of a claim are all numbers or all text", list(levels), f"parameters.{name}")
        for field, dimension in dimensions.items():
            if isinstance(dimension, FloatRange) or (isinstance(dimension, IntRange) and not dimension.log2):
                raise refuse("a claim needs levels: give a list", dimension.model_dump(), field)
        if self.space.scaling_rule != "constant":
            # At one batch size a rule only relabels the base rate. Rules are judged by the slope of the best rate.
            raise refuse('must be "constant" in a claim', self.space.scaling_rule, "space.scaling_rule")
        check_needs(self.space, claim.hypotheses)
        if "H22" in claim.hypotheses:
            check_timescale(self.space, self.budget)
        for name in claim.hypotheses:
            if name in TO_TARGET and extremes(self.space.decay) != ("constant",):
                # Only at a constant rate is a point of a curve the end of a shorter run.
                raise refuse(f'{name} needs "constant"', list(extremes(self.space.decay)), "space.decay")
            if name in (*TO_TARGET, "H27") and self.task is None:
                raise refuse(f"{name} needs a [task], whose losses are recorded at every report", None, "task")
        if claim.design == "adaptive":
            self._check_adaptive(claim)
        largest = max(levels_of(self.trial_space.batch_size))
        if self._smallest_train_size is not None and largest > self._smallest_train_size:
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
        for name, parameter in self.parameters.items():
            if len(extremes(parameter.dimension)) > 1:
                got = list(extremes(parameter.dimension))
                raise refuse("an adaptive design varies batch_size and base_lr only", got, f"parameters.{name}")
        fewest = FEWEST_ROUNDS * len(levels_of(self.space.base_lr))
        if claim.runs is not None and claim.runs < fewest:
            raise refuse(f"must be at least {fewest}, {FEWEST_ROUNDS} for each learning rate", claim.runs, "claim.runs")
