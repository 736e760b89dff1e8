"""A small BERT from random weights: masked language modelling of Python's own source, with Transformers.

The bytes are the tokens. 15 % of them are to be found again: 80 % of these are masked, 10 % are replaced, 10 % stay
(Devlin et al. 2019, section 3.1).
"""

import sysconfig
from functools import cache
from pathlib import Path

import torch
from batchlaw import Trial
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

LENGTH, MASK = 32, 256


@cache
def text() -> Tensor:
    """The modules at the top of the standard library, one after another, uint8."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(file.read_bytes() for file in files)), dtype=torch.uint8)


def masked(tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the network is given, and what it is to find; -100 where nothing is asked."""
    chosen = torch.rand(tokens.shape, generator=generator) < 0.15
    kind = torch.rand(tokens.shape, generator=generator)
    other = torch.randint(0, 256, tokens.shape, generator=generator)
    given = torch.where(chosen & (kind < 0.8), MASK, torch.where(chosen & (kind > 0.9), other, tokens))
    return given, torch.where(chosen, tokens, -100)


def windows(part: Tensor, starts: Tensor) -> Tensor:
    return part[starts[:, None] + torch.arange(LENGTH)].long()


@torch.no_grad()
def validation_loss(model: BertForMaskedLM, part: Tensor) -> float:
    generator = torch.Generator().manual_seed(0)  # the same windows and masks in every trial
    starts = torch.randint(0, len(part) - LENGTH, (128,), generator=generator)
    given, labels = masked(windows(part, starts), generator)
    model.eval()
    loss = model(input_ids=given, labels=labels).loss.item()
    model.train()
    return loss


def train(trial: Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    generator = torch.Generator().manual_seed(trial.seed)
    split = len(text()) * 9 // 10
    training, validation = text()[:split], text()[split:]
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=MASK + 1, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
            max_position_embeddings=LENGTH,
        )
    ).train()  # fmt: skip
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)
    steps = trial.config.steps
    for step in range(1, steps + 1):
        starts = torch.randint(0, len(training) - LENGTH, (trial.batch_size,), generator=generator)
        given, labels = masked(windows(training, starts), generator)
        optimizer.zero_grad()
        model(input_ids=given, labels=labels).loss.backward()
        optimizer.step()
        schedule.step()
        if step < steps and step % max(1, steps // 4) == 0:
            trial.report(step / steps, {"validation_loss": validation_loss(model, validation)})
    return {"validation_loss": validation_loss(model, validation)}
