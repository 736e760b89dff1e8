"""Fashion-MNIST in the manner of Optuna's PyTorch example, `pytorch_simple.py`, as every competitor trains it.

As there: torchvision's data set read through `ToTensor` by a `DataLoader` without workers, a perceptron with ReLU, ten
epochs of 3,840 examples and 1,280 to validate on after each. Otherwise than there: one hidden layer of 128 without
dropout, since ours does not search widths; the batch size is searched; and the images are the same for all, those of
our split, standardised as ours are. That is done on whole batches, which costs next to nothing beside `ToTensor`;
torchvision's `Normalize` would take its time for every image.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

METRIC, MODE = "accuracy", "max"
REPORTS = 10  # epochs
RATES = (1e-5, 1e-1)  # searched in the logarithm
CHOICES = {"batch_size": [16, 32, 64, 128, 256, 512], "optimizer": ["Adam", "RMSprop", "SGD"]}
GUESS = {"lr": 1e-3, "batch_size": 32, "optimizer": "Adam"}  # of the user, for methods that ask for one

torch.set_num_threads(1)


class Trial:
    """One network in training. `data` has `FashionMNIST/` as torchvision keeps it; `split` is what real.py writes."""

    def __init__(self, data: str, split: str, lr: float, batch_size: int, optimizer: str) -> None:
        chosen = np.load(Path(split))
        self.mean, self.std = float(chosen["mean"]), float(chosen["std"])
        images = FashionMNIST(data, train=True, transform=ToTensor())
        self.train_loader = DataLoader(Subset(images, chosen["train"]), batch_size=batch_size, shuffle=True)
        self.valid_loader = DataLoader(Subset(images, chosen["validation"]), batch_size=128)
        self.model = nn.Sequential(nn.Linear(28 * 28, 128), nn.ReLU(), nn.Linear(128, 10), nn.LogSoftmax(dim=1))
        self.optimizer = getattr(optim, optimizer)(self.model.parameters(), lr=lr)
        self.parts = 0  # that are trained

    def train_part(self) -> float:
        """One pass over the training examples; the validation accuracy after it."""
        self.model.train()
        for images, labels in self.train_loader:
            self.optimizer.zero_grad()
            loss = F.nll_loss(self.model(self.inputs(images)), labels)
            loss.backward()
            self.optimizer.step()
        self.parts += 1
        self.model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in self.valid_loader:
                correct += int((self.model(self.inputs(images)).argmax(dim=1) == labels).sum())
        return correct / len(self.valid_loader.dataset)

    def inputs(self, images: torch.Tensor) -> torch.Tensor:
        return (images.flatten(1) - self.mean) / self.std
