"""The table of optimizers. One entry adds an optimizer of PyTorch; training, exports, scaling and laws read it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticKnownError

from batchlaw.spec.base import refuse


@dataclass(frozen=True, kw_only=True)
class Family:
    """One optimizer: how PyTorch builds it, how its learning rate compares, and what other libraries call it.

    `keywords` maps each keyword of the constructor to a field of `TrainConfig`, to several fields if the keyword takes
    a tuple, or to a constant.
    """

    torch: str | None  # class in `package`; None: the user's script builds its optimizer itself
    keywords: Mapping[str, str | tuple[str, ...] | bool]
    factor: float | None  # best learning rate relative to plain SGD; None: 1 - momentum
    decoupled_decay: bool = False  # Loshchilov & Hutter 2019; False: weight decay is an L2 term of the loss
    second_moment: Literal["beta2", "rmsprop_alpha"] | None = None  # key of its β₂ in [space]
    fused: tuple[str, ...] = ()  # device types with a fused kernel in PyTorch (2.9 to 2.14)
    timm: str | None = None  # name in timm; None: timm has none that makes the same steps
    package: str = "torch.optim"
    # What trains as one network: runs of several rates where the update is in proportion to the rate, seeds of one
    # where it is made for each number by itself.
    stacks: Literal["rates", "seeds", "nothing"] = "rates"
    scheduled: bool = True  # False: it averages in place of a decay, so that its rate stays after the warmup
    transformers: str | None = None  # value of TrainingArguments.optim; None: as for timm
    by_path: bool = False  # an optimizer of the user's own, "package.module:Class as family"

    @property
    def normalized(self) -> bool:
        """Whether it divides the gradient by its size, so that noise calls for ε ∝ √B where SGD's calls for ε ∝ B."""
        return self.second_moment is not None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a `TrainConfig` that it uses, such as `("beta1", "beta2", "eps")`."""
        values = [value for value in self.keywords.values() if not isinstance(value, bool)]
        return tuple(name for value in values for name in ((value,) if isinstance(value, str) else value))

    def arguments(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments of its constructor, without learning rate and weight decay.

        Args:
            fields: the values of at least `self.fields`.
        """
        return {keyword: _given(value, fields) for keyword, value in self.keywords.items()}


def _given(value: str | tuple[str, ...] | bool, fields: Mapping[str, Any]) -> Any:
    if isinstance(value, bool):
        return value
    return fields[value] if isinstance(value, str) else tuple(fields[name] for name in value)


OWN = "own"  # the optimizer of the user's own script, of which nothing is known: its learning rate is `base_lr`

_BY_PATH = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*) as ([\w-]+)")


class _Families(dict[str, Family]):
    """The table by name, and what it says of an optimizer of the user's own: its family's entry, with its class."""

    def __missing__(self, name: str) -> Family:
        path = _BY_PATH.fullmatch(name)
        if path is None or path[3] not in MODELS:
            raise KeyError(name)
        return replace(
            self[path[3]], package=path[1], torch=path[2], stacks="nothing", fused=(), timm=None, transformers=None,
            by_path=True,
        )  # fmt: skip


# Factors let one range of `base_lr` suit all families. Those of momentum and Nesterov are 1 - m: their effective
# learning rate is ε/(1-m) (Shallue et al. 2018, section 2.2). The others were measured with
# tests/benchmarks/family_factors.py (an MLP, batch size 32, 20 epochs, three seeds; digits and Fashion-MNIST) and
# rounded to a power of ten: adagrad .09 and .22, rmsprop .012 and .009, adam and adamw .03 (edge of the grid) and .010.
FAMILIES: dict[str, Family] = _Families({
    "sgd": Family(torch="SGD", keywords={}, factor=1.0, fused=("cpu", "cuda"), timm="momentum", transformers="sgd"),
    "momentum": Family(
        torch="SGD", keywords={"momentum": "momentum"}, factor=None, fused=("cpu", "cuda"),
        timm="momentum", transformers="sgd",
    ),
    "nesterov": Family(
        torch="SGD", keywords={"momentum": "momentum", "nesterov": True}, factor=None, fused=("cpu", "cuda"),
        timm="sgd", transformers="sgd",
    ),
    "adagrad": Family(
        torch="Adagrad", keywords={"eps": "eps"}, factor=0.1, fused=("cpu",), timm="adagrad", transformers="adagrad"
    ),
    "rmsprop": Family(
        torch="RMSprop", keywords={"alpha": "beta2", "eps": "eps"}, factor=0.01, second_moment="rmsprop_alpha",
        timm="rmsprop", transformers="rmsprop",
    ),
    "adam": Family(
        torch="Adam", keywords={"betas": ("beta1", "beta2"), "eps": "eps"}, factor=0.01, second_moment="beta2",
        fused=("cpu", "cuda"), timm="adam", transformers="adamw_torch",
    ),
    "adamw": Family(
        torch="AdamW", keywords={"betas": ("beta1", "beta2"), "eps": "eps"}, factor=0.01, second_moment="beta2",
        decoupled_decay=True, fused=("cpu", "cuda"), timm="adamw", transformers="adamw_torch",
    ),
    # Muon for matrices, AdamW for the rest (train/muon.py). Its factor is AdamW's, as its updates are of that size
    # (assumption).
    "muon": Family(
        torch="Muon", keywords={"momentum": "momentum", "betas": ("beta1", "beta2"), "eps": "eps"}, factor=0.01,
        second_moment="beta2", decoupled_decay=True, fused=("cpu", "cuda"), stacks="nothing",
    ),
    # Defazio et al. 2024 (arXiv:2405.15682). Factors by the README of the package, not measured here: 10 times the rate
    # of momentum, and that of AdamW.
    "schedule-free-sgd": Family(
        torch="SGDScheduleFree", package="schedulefree", keywords={"momentum": "momentum"}, factor=1.0, stacks="seeds",
        scheduled=False,
    ),
    "schedule-free-adamw": Family(
        torch="AdamWScheduleFree", package="schedulefree", keywords={"betas": ("beta1", "beta2"), "eps": "eps"},
        factor=0.01, second_moment="beta2", decoupled_decay=True, stacks="seeds", scheduled=False,
    ),
    OWN: Family(torch=None, keywords={}, factor=1.0),
})  # fmt: skip
# The families that an optimizer of the user's own may name: one class, whose rate has a schedule.
MODELS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


def _known(name: str) -> str:
    """Check that a name is one of the table, or "package.module:Class as family"."""
    if ":" in name:
        path = _BY_PATH.fullmatch(name)
        if path is None or path[3] not in MODELS:
            raise refuse(f'must be "package.module:Class as FAMILY", with a family of {", ".join(MODELS)}', name)
    elif name not in FAMILIES:
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, FAMILIES))})
    return name


if TYPE_CHECKING:
    OptimizerFamily = str
else:
    _SCHEMA = {"type": "string", "anyOf": [{"enum": list(FAMILIES)}, {"pattern": f"^{_BY_PATH.pattern}$"}]}
    OptimizerFamily = Annotated[str, AfterValidator(_known), WithJsonSchema(_SCHEMA)]


def family_of(name: str) -> str:
    """The family of an optimizer: its name, or what one of the user's own names."""
    return name.rpartition(" as ")[2]


# AdamW's timescale is that of a decay that is decoupled from the gradient; the correction is Adam's.
DECOUPLED = tuple(name for name, family in FAMILIES.items() if family.decoupled_decay)
CORRECTED = ("adam", "adamw")


def families_with(field: str) -> tuple[str, ...]:
    """The names of the families that use a field of a configuration, such as `momentum` or `beta2`."""
    return tuple(name for name, family in FAMILIES.items() if field in family.fields)
