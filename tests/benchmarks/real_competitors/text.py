"""A small language model in the manner of nanoGPT's `train.py`, as every competitor trains it.

As there: windows at random places of an array of bytes, a warmup and a decay of the learning rate set at every step,
and the loss on validation windows at intervals. Otherwise than there: the network is our GPT, so that it is the same
for all, without clipping, dropout and weight decay; and the text is that of our split, 65,536 bytes of it in eight
parts.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from batchlaw.train.transformer import GPT
from torch import optim

METRIC, MODE = "bits_per_byte", "min"
REPORTS = 8
RATES = (1e-4, 1.0)  # searched in the logarithm
CHOICES = {
    "batch_size": [2, 4, 8, 16, 32, 64],
    "optimizer": ["Adam", "RMSprop", "SGD"],
    "warmup": [0.0, 0.1, 0.2],  # of the steps
    "decay": ["constant", "cosine", "linear"],
}
GUESS = {"lr": 1e-3, "batch_size": 16, "optimizer": "Adam", "warmup": 0.1, "decay": "cosine"}  # of the user
WINDOWS = 1024  # of the whole budget
CONTEXT = 64

torch.set_num_threads(1)


class Trial:
    """One network in training. `split` is what real.py writes: bytes to train on, and windows to validate on."""

    def __init__(
        self, data: str, split: str, lr: float, batch_size: int, optimizer: str, warmup: float, decay: str
    ) -> None:
        text = np.load(Path(split))
        self.train, self.validation = torch.from_numpy(text["train"]), torch.from_numpy(text["validation"]).long()
        self.model = GPT(n_tokens=256, context=CONTEXT, width=64, depth=2, heads=2)
        self.optimizer = getattr(optim, optimizer)(self.model.parameters(), lr=lr)
        self.lr, self.batch_size, self.decay = lr, batch_size, decay
        self.steps = WINDOWS // batch_size
        self.warmup = round(warmup * self.steps)
        self.parts = 0  # that are trained

    def train_part(self) -> float:
        """An eighth of the steps; the validation loss after them."""
        self.model.train()
        begin, end = (math.ceil(self.steps * parts / REPORTS) for parts in (self.parts, self.parts + 1))
        for step in range(begin, end):
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * self.factor(step)
            tokens, targets = self.batch()
            loss = F.cross_entropy(self.model(tokens).flatten(0, 1), targets.flatten())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        self.parts += 1
        self.model.eval()
        with torch.no_grad():
            logits = self.model(self.validation[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), self.validation[:, 1:].flatten())
        return loss.item() / math.log(2) if loss.isfinite() else 1e9

    def factor(self, step: int) -> float:
        """What the learning rate of a step is multiplied with."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / (self.steps - self.warmup)
        return {"constant": 1.0, "cosine": (1 + math.cos(math.pi * progress)) / 2, "linear": 1 - progress}[self.decay]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(self.train) - CONTEXT, (self.batch_size,))
        windows = torch.stack([self.train[start : start + CONTEXT + 1] for start in starts.tolist()]).long()
        return windows[:, :-1], windows[:, 1:]
