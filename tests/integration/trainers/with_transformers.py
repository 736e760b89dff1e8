"""A Trainer of Transformers that learns a line.

Environment: WRONG is an accumulation put in place of the trial's. FITS, the examples that fit the memory at once.
"""

import json
import os

import torch
from batchlaw.integrations.transformers import TrialCallback, training_arguments
from transformers import Trainer, TrainerCallback


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line, self.sizes = torch.nn.Linear(2, 1), []

    def forward(self, x, labels):
        if self.training and len(x) > int(os.environ.get("FITS", len(x))):
            torch.empty(2**60)  # no machine has so much memory
        if self.training:
            self.sizes.append(len(x))
        return {"loss": torch.nn.functional.mse_loss(self.line(x)[:, 0], labels)}


class Watch(TrainerCallback):
    def __init__(self):
        self.rates = []

    def on_pre_optimizer_step(self, args, state, control, *, optimizer, **_):
        self.rates.append(optimizer.param_groups[0]["lr"])


def examples(n):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(n))
    return [{"x": each, "labels": each @ torch.tensor([2.0, -1.0])} for each in x]


def train(trial):
    torch.manual_seed(trial.seed)
    arguments = training_arguments(
        trial, eval_strategy="steps", eval_steps=4, save_strategy="no", logging_strategy="no", use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    if "WRONG" in os.environ:
        arguments.gradient_accumulation_steps = int(os.environ["WRONG"])
    model, watch = Model(), Watch()
    trainer = Trainer(
        model, arguments, train_dataset=examples(96), eval_dataset=examples(50), callbacks=[watch, TrialCallback(trial)]
    )
    trainer.train()
    (trial.run_dir / "seen.json").write_text(json.dumps({"rates": watch.rates, "sizes": model.sizes}))
    return {"loss": trainer.evaluate()["eval_loss"]}
