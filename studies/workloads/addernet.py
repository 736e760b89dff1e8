"""An AdderNet on scikit-learn's digits: convolutions by sums of absolute differences (Chen et al. 2020, 1912.13200).

Its gradients are those of the paper: of the weights the full difference, of the inputs the difference clipped to ±1.
Each adder layer has a learning rate of its own: its gradient is scaled to √k/‖g‖ (equation 12), k its weights.
"""

from typing import Any

import torch
from batchlaw import Trial
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, unfold

N_TRAIN, N_VALIDATION = 1000, 400
ETA = 0.1  # of the scaled gradients: the paper's choice


class Add(torch.autograd.Function):
    """-Σ|w - x| over patches (examples, places, k) for weights (channels, k): (examples, places, channels)."""

    @staticmethod
    def forward(context: Any, patches: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(patches, weight)
        return -torch.cdist(patches, weight, p=1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        patches, weight = context.saved_tensors
        of_weight = torch.einsum("npc,npk->ck", gradient, patches) - weight * gradient.sum((0, 1))[:, None]
        clipped = (weight - patches.unsqueeze(2)).clamp_(-1, 1)  # (examples, places, channels, k)
        return torch.einsum("npc,npck->npk", gradient, clipped), of_weight


class Adder(nn.Module):
    """A 3×3 layer of additions, padded by one pixel."""

    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 9 * given))

    def forward(self, images: Tensor) -> Tensor:
        patches = unfold(images, 3, padding=1).mT
        return Add.apply(patches, self.weight).mT.unflatten(2, images.shape[2:])


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),  # the first and the last layer multiply
        nn.MaxPool2d(2), Adder(8, 16), nn.BatchNorm2d(16), nn.ReLU(),
        Adder(16, 16), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10),
    )  # fmt: skip


def train(trial: Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images, labels = images.float().view(-1, 1, 8, 8) / 16, labels.long()
    seen, unseen = slice(0, N_TRAIN), slice(N_TRAIN, N_TRAIN + N_VALIDATION)
    model = network().train()
    adders = [layer.weight for layer in model if isinstance(layer, Adder)]
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)
    batches = trial.batches(N_TRAIN)
    steps, metrics = trial.config.steps, {}
    for step, batch in enumerate(batches, start=1):
        optimizer.zero_grad()
        cross_entropy(model(images[seen][batch]), labels[seen][batch]).backward()
        for weight in adders:
            weight.grad *= ETA * weight.numel() ** 0.5 / weight.grad.norm().clamp_min(1e-12)
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 4) == 0 or step == steps:
            model.eval()
            with torch.no_grad():
                metrics = {"validation_loss": cross_entropy(model(images[unseen]), labels[unseen]).item()}
            model.train()
            trial.report(step / steps, metrics)
    return metrics
