"""The [space] of a study file: a dimension for each knob, and the settings that all trials share."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from batchlaw.spec.base import Frozen, refuse
from batchlaw.spec.dimensions import dimension, extremes
from batchlaw.spec.families import OWN, families_with
from batchlaw.spec.knobs import KNOBS

if TYPE_CHECKING:

    class _Dimensions(Frozen):
        """A dimension for each knob."""

        def __getattr__(self, name: str) -> Any: ...

else:
    _Dimensions = create_model(
        "_Dimensions",
        __base__=Frozen,
        **{
            knob.name: (dimension(knob) if knob.default is not None else dimension(knob) | None, knob.default)
            for knob in KNOBS
        },
    )


class Space(_Dimensions):
    """The search space: a number or a name fixes a dimension, a list is a choice, `{low, high, log}` is a range."""

    reference_batch_size: Annotated[int, Field(ge=1)] = 32  # base_lr is for plain SGD at this batch size
    warmup: Literal["fraction", "untuned"] = "fraction"  # untuned: 2/(1-beta2) steps (Ma & Yarats 2021)
    family_factors: bool = True  # False: base_lr is the peak rate of every optimizer at every momentum
    exempt_norms_and_biases: bool = False  # from weight decay
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    rmsprop_alpha: Annotated[float, Field(ge=0, lt=1)] = 0.99  # RMSprop's beta2; PyTorch's default
    beta2_half_life_examples: Annotated[float, Field(gt=0)] | None = None  # sets beta2, alpha (Marek et al. 2025)
    eps: Annotated[float, Field(gt=0)] = 1e-8

    @model_validator(mode="after")
    def _consistent(self) -> "Space":
        if self.warmup == "untuned" and self.warmup_fraction != 0:
            raise refuse(
                'warmup = "untuned" sets the length itself; drop this key', self.warmup_fraction, "warmup_fraction"
            )
        if OWN in extremes(self.optimizer) and extremes(self.optimizer) != (OWN,):
            raise refuse(f'"{OWN}", the optimizer of the script itself, stands alone', self.optimizer, "optimizer")
        if "sde" in extremes(self.scaling_rule):
            known = families_with("beta2")
            for family in extremes(self.optimizer):
                if family not in known:
                    raise refuse(f"the sde rule is derived for {', '.join(known)} only", family, "optimizer")
            if self.beta2_half_life_examples is not None:
                message, field = "the sde rule scales beta2 itself; drop this key", "beta2_half_life_examples"
                raise refuse(message, self.beta2_half_life_examples, field)
        return self
