"""The built-in networks, built on the CPU from a seed, so that all devices start from the same weights."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from batchlaw.spec import Task
from batchlaw.spec.datasets import BYTES
from batchlaw.spec.task import CHANNELS, HIDDEN, WIDTHS
from batchlaw.train.transformer import GPT


class StackedMLP(nn.Module):
    """Several multilayer perceptrons of one shape as one network, whose parameters have the members first.

    With the sum of the losses and an elementwise optimizer each member trains as it would by itself.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        layers = zip(*([m for m in member.modules() if isinstance(m, nn.Linear)] for member in members), strict=True)
        self.weight, self.bias = nn.ParameterList(), nn.ParameterList()
        for layer in layers:
            self.weight.append(torch.stack([linear.weight.detach() for linear in layer]))  # (members, out, in)
            self.bias.append(torch.stack([linear.bias.detach().unsqueeze(0) for linear in layer]))  # (members, 1, out)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (members, batch, …) to logits (members, batch, classes)."""
        hidden = inputs.flatten(2)
        last = len(self.weight) - 1
        for depth, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight.mT)
            if depth < last:
                hidden = hidden.relu()
        return hidden


class StackedModule(nn.Module):
    """Several networks of one shape as one network through `torch.func`; the parameters have the members first.

    Parameters keep their names. The networks must have no buffers, such as running statistics, and no randomness.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.network = _with_stacked_parameters(members)

    def forward(self, images: Tensor) -> Tensor:
        """Images (members, batch, channels, side, side) to logits (members, batch, classes)."""
        logits: Tensor = vmap(self._member)(dict(self.network.named_parameters()), images)
        return logits

    def _member(self, parameters: dict[str, Tensor], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, parameters, (images,))
        return logits


def _with_stacked_parameters(members: Sequence[nn.Module]) -> nn.Module:
    """A copy of the first network, whose parameters have the members first."""
    network = deepcopy(members[0])
    for name, parameters in zip(
        [name for name, _ in network.named_parameters()],
        zip(*(member.parameters() for member in members), strict=True),
        strict=True,
    ):
        owner, _, own_name = name.rpartition(".")
        stacked = torch.stack([parameter.detach() for parameter in parameters])  # (members, …)
        setattr(network.get_submodule(owner), own_name, nn.Parameter(stacked))
    return network


def can_stack(task: Task) -> bool:
    """Whether networks of a task can be stacked.

    Not with augmentation, which differs between runs, nor with batch norm, which has buffers. Not `vit-tiny` either: a
    stack takes up to three times as long as its members one after another (measured with torch 2.14), because torch has
    no batching rule for its attention on a CPU.
    """
    plain = task.model in ("mlp", "cnn", "gpt") or (task.model == "resnet18" and task.model_options.norm == "group")
    return plain and not task.augment


def stack(task: Task, members: Sequence[nn.Module]) -> nn.Module:
    """The networks of several runs of a task as one network."""
    if task.model == "gpt":
        return _with_stacked_parameters(members)
    return StackedMLP(members) if task.model == "mlp" else StackedModule(members)


def build(task: Task, seed: int) -> nn.Module:
    """The network of a task: inputs (batch, …) to logits (batch, classes), of a text (batch, context, classes)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _BUILDERS[task.model](task)
    if task.model_options.init_scale is not None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(task.model_options.init_scale)
    return model


def autocast(task: Task, device: torch.device) -> AbstractContextManager[object]:
    """The context in which networks of a task compute, in the task's precision."""
    if task.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a network has batch norm."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def _mlp(task: Task) -> nn.Module:
    facts = task.facts
    sizes = [prod(facts.shape), *(task.model_options.widths or WIDTHS), facts.n_classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _cnn(task: Task) -> nn.Module:
    """Two convolutions with pooling and one hidden layer."""
    facts, channels = task.facts, task.model_options.channels or CHANNELS
    return nn.Sequential(
        nn.Conv2d(facts.channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * (facts.side // 4) ** 2, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, facts.n_classes),
    )


def _resnet18(task: Task) -> nn.Module:
    """torchvision's ResNet-18 with the stem for small images (He et al. 2015, section 4.2: 3×3, no pooling)."""
    from torchvision.models import resnet18

    norm: Callable[[int], nn.Module] = nn.BatchNorm2d
    if task.model_options.norm == "group":
        norm = lambda channels: nn.GroupNorm(32, channels)  # noqa: E731  (32 groups: Wu & He 2018)
    model: nn.Module = resnet18(num_classes=task.facts.n_classes, norm_layer=norm)
    model.conv1 = nn.Conv2d(task.facts.channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _vit_tiny(task: Task) -> nn.Module:
    """torchvision's VisionTransformer in the width of ViT-Ti (Touvron et al. 2021), half its depth, small patches."""
    from torchvision.models import VisionTransformer

    facts, patch = task.facts, task.patch_size
    model: nn.Module = VisionTransformer(
        image_size=facts.side,
        patch_size=patch,
        num_layers=6,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=facts.n_classes,
    )
    if facts.channels != 3:
        model.conv_proj = nn.Conv2d(facts.channels, 192, patch, stride=patch)
    return model


def _gpt(task: Task) -> nn.Module:
    return GPT(BYTES, task.gpt("context"), task.gpt("width"), task.gpt("depth"), task.gpt("heads"))


_BUILDERS: dict[str, Callable[[Task], nn.Module]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": _resnet18,
    "vit-tiny": _vit_tiny,
    "gpt": _gpt,
}
