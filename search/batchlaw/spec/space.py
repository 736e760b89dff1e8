"""The [space] of a study file: a dimension for each knob, and the settings that all trials share."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from batchlaw.spec.base import Extended, refuse
from batchlaw.spec.dimensions import dimension, extremes
from batchlaw.spec.families import FAMILIES, OWN, families_with, family_of
from batchlaw.spec.knobs import KNOBS

if TYPE_CHECKING:

    class _Dimensions(Extended):
        """A dimension for each knob."""

        def __getattr__(self, name: str) -> Any: ...

else:
    _Dimensions = create_model(
        "_Dimensions",
        __base__=Extended,
        **{
            knob.name: (dimension(knob) if knob.default is not None else dimension(knob) | None, knob.default)
            for knob in KNOBS
        },
    )


class Space(_Dimensions):
    """The search space: a number or a name fixes a dimension, a list is a choice, `{low, high, log}` is a range."""

    later: ClassVar[frozenset[str]] = frozenset({"weight_decay_tau", "bias_correction", "beta2_floor", "beta2_ceiling"})

    reference_batch_size: Annotated[int, Field(ge=1)] = 32  # base_lr is for plain SGD at this batch size
    warmup: Literal["fraction", "untuned"] = "fraction"  # untuned: 2/(1-beta2) steps (Ma & Yarats 2021)
    family_factors: bool = True  # False: base_lr is the peak rate of every optimizer at every momentum
    exempt_norms_and_biases: bool = False  # from weight decay
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    rmsprop_alpha: Annotated[float, Field(ge=0, lt=1)] = 0.99  # RMSprop's beta2; PyTorch's default
    beta2_half_life_examples: Annotated[float, Field(gt=0)] | None = None  # sets beta2, alpha (Marek et al. 2025)
    beta2_floor: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the beta2 that a half-life gives
    beta2_ceiling: Annotated[float, Field(gt=0, le=1)] = 1.0
    eps: Annotated[float, Field(gt=0)] = 1e-8

    @model_validator(mode="after")
    def _consistent(self) -> "Space":
        if self.warmup == "untuned" and self.warmup_fraction != 0:
            raise refuse(
                'warmup = "untuned" sets the length itself; drop this key', self.warmup_fraction, "warmup_fraction"
            )
        if OWN in extremes(self.optimizer) and extremes(self.optimizer) != (OWN,):
            raise refuse(f'"{OWN}", the optimizer of the script itself, stands alone', self.optimizer, "optimizer")
        if self.weight_decay_tau is not None and extremes(self.weight_decay) != (0.0,):
            raise refuse(
                "weight_decay_tau sets the weight decay; drop this key",
                list(extremes(self.weight_decay)),
                "weight_decay",
            )
        if (self.beta2_floor, self.beta2_ceiling) != (0.0, 1.0) and self.beta2_half_life_examples is None:
            field = "beta2_floor" if self.beta2_floor else "beta2_ceiling"
            raise refuse("bounds the beta2 of beta2_half_life_examples", getattr(self, field), field)
        if self.beta2_floor > self.beta2_ceiling:
            raise refuse(f"must be at most beta2_ceiling = {self.beta2_ceiling:g}", self.beta2_floor, "beta2_floor")
        if self.beta1 == 0 and "schedule-free-adamw" in extremes(self.optimizer):
            raise refuse("must be above 0 with schedule-free-adamw, which averages by it", self.beta1, "beta1")
        if "schedule-free-sgd" in extremes(self.optimizer) and min(extremes(self.momentum)) == 0:
            raise refuse("must be above 0 with schedule-free-sgd, which averages by it", 0.0, "momentum")
        if "seesaw" in extremes(self.decay):
            for name in extremes(self.optimizer):
                family = FAMILIES[name]
                if family.scheduled and not family.normalized and family.torch != "SGD":
                    raise refuse("seesaw is derived for SGD and for Adam's kin only", name, "optimizer")
        if "sde" in extremes(self.scaling_rule):
            known = families_with("beta2")
            for family in extremes(self.optimizer):
                if family_of(family) not in known:
                    raise refuse(f"the sde rule is derived for {', '.join(known)} only", family, "optimizer")
            if self.beta2_half_life_examples is not None:
                message, field = "the sde rule scales beta2 itself; drop this key", "beta2_half_life_examples"
                raise refuse(message, self.beta2_half_life_examples, field)
        return self
