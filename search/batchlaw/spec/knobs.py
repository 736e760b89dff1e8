"""The table of hyperparameters. One field of `Point` adds a hyperparameter; every room reads the table.

A field gives the key in [space] of a study file, the parameter of every trial, the field of `TrainConfig`, the factor
of a designed study, the placeholder of a command, and the entries in exports, the dashboard and figures.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.fields import FieldInfo

from batchlaw.spec.base import Scalar
from batchlaw.spec.families import CORRECTED, DECOUPLED, OptimizerFamily, families_with

ScalingRule = Literal["constant", "sqrt", "linear", "sde"]
Decay = Literal["constant", "cosine", "linear", "step", "batch-growth", "wsd", "seesaw"]
AT_MILESTONES: tuple[Decay, ...] = ("step", "batch-growth", "seesaw")  # the decays that act at the milestones
GROWING: tuple[Decay, ...] = ("batch-growth", "seesaw")  # those whose batch grows
Cooldown = Literal["1-sqrt", "linear"]
Scale = Literal["linear", "log", "log2", "log(1-x)"]

# What a study need not have: its batch size, its learning rate, and what follows from them or from a budget. They are
# None in a study without. Where a law, a claim or a [task] needs them, `StudySpec.require` has checked that they are
# there, so that the types say what the code behind it gets.
if TYPE_CHECKING:
    Count = int
    Number = float
else:
    Count = int | None
    Number = float | None

# Fields of a `Point` or a `TrainConfig` that came later, and what they are without.
_LATER: dict[str, Any] = {
    "parameters": {}, "tokens_per_example": None, "budget": None, "budget_unit": None, "cooldown_fraction": None,
    "cooldown_steps": None, "cooldown": None, "horizons": (), "weight_decay_tau": None, "bias_correction": True,
    "beta2_floor": 0.0, "beta2_ceiling": 1.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Knob:
    """The properties of one hyperparameter."""

    label: str  # in figures and tables
    unit: str = ""
    # On this scale equal steps have similar effects. A range is searched on log(1-x) whatever the study file says.
    scale: Scale = "linear"
    above: float | None = None  # its values are above this,
    low: float | None = None  # at least this,
    below: float | None = None  # and below this
    families: tuple[str, ...] | None = None  # the optimizers that use it; None: all
    unused: Any = 0.0  # what is recorded with the others
    factor: bool = True  # may vary in a designed study
    of_data: bool = False  # describes the data, so that exports leave it out
    # The following are filled in from the field.
    name: str = ""
    kind: type = float  # int, float or str, which stands for a name or a truth value
    values: Any = None  # type of its values in a study file
    default: Any = None  # in [space]

    @property
    def parameter(self) -> str:
        """The name of Optuna's parameter for a range on the knob's scale."""
        return {"log2": f"log2_{self.name}", "log(1-x)": f"one_minus_{self.name}"}.get(self.scale, self.name)


class Point(BaseModel):
    """A point of the search space: the suggested value of each hyperparameter."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    # Append new fields, never reorder: slots of stored designed studies number the combinations in this order.
    batch_size: Annotated[Count, Knob(label="batch size", unit="examples", scale="log2", low=1)] = None  # type: ignore[assignment]
    base_lr: Annotated[Number, Knob(label="base learning rate", scale="log", above=0)] = None  # type: ignore[assignment]
    # No factor of a claim: at one batch size a rule only relabels the base rate.
    scaling_rule: Annotated[ScalingRule, Knob(label="scaling rule", factor=False)] = "constant"
    warmup_fraction: Annotated[float, Knob(label="warmup", unit="of the budget", low=0, below=1)] = 0.0
    optimizer: Annotated[OptimizerFamily, Knob(label="optimizer", values=OptimizerFamily)] = "momentum"
    decay: Annotated[Decay, Knob(label="decay")] = "constant"
    # log(1-m) is the scale on which momentum acts (Shallue et al. 2018, section 2.2).
    momentum: Annotated[
        float, Knob(label="momentum", scale="log(1-x)", low=0, below=1, families=families_with("momentum"))
    ] = 0.9
    weight_decay: Annotated[float, Knob(label="weight decay", scale="log", low=0)] = 0.0
    train_size: Annotated[
        int | None, Knob(label="training examples", unit="examples", scale="log2", low=1, of_data=True)
    ] = None
    # AdamW's timescale B/(ελD) as a fraction of the budget, in place of `weight_decay` (arXiv:2405.13698, 2505.13738).
    weight_decay_tau: Annotated[
        float | None,
        Knob(
            label="timescale of weight decay", unit="of the budget", scale="log", above=0, families=DECOUPLED,
            unused=None,
        ),
    ] = None  # fmt: skip
    bias_correction: Annotated[bool, Knob(label="bias correction", families=CORRECTED, unused=True)] = True
    # The user's own, by name; one whose condition is false is absent.
    parameters: dict[str, Scalar] = {}

    def value_of(self, name: str) -> Any:
        """A hyperparameter or a parameter of the user's own; None where there is none."""
        return getattr(self, name) if name in self.__dict__ else self.parameters.get(name)

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later where it is not given, as of the trials stored before."""
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if name not in _LATER or value not in (_LATER[name], [])}


def _knob(name: str, field: FieldInfo) -> Knob:
    [knob] = [entry for entry in field.metadata if isinstance(entry, Knob)]
    values: Any = field.annotation
    if type(None) in get_args(values):
        [values] = [part for part in get_args(values) if part is not type(None)]
    kind = values if values in (int, float) else str
    values = knob.values or values
    return replace(knob, name=name, kind=kind, values=values, default=field.default)


KNOBS: tuple[Knob, ...] = tuple(
    _knob(name, field) for name, field in Point.model_fields.items() if name != "parameters"
)
