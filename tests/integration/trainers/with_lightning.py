"""A LightningModule that learns a line. Environment: WRONG is an accumulation put in place of the trial's."""

import json
import os

import torch
from batchlaw.integrations.lightning import TrialCallback, configure_optimizers, data_loader, trainer_arguments
from pytorch_lightning import LightningModule, Trainer


class Model(LightningModule):
    def __init__(self, trial):
        super().__init__()
        self.line, self.trial, self.sizes, self.rates = torch.nn.Linear(2, 1), trial, [], []

    def configure_optimizers(self):
        return configure_optimizers(self.trial, self)

    def training_step(self, batch, _):
        x, y = batch
        self.sizes.append(len(x))
        return torch.nn.functional.mse_loss(self.line(x), y)

    def on_before_optimizer_step(self, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def validation_step(self, batch, _):
        x, y = batch
        self.log("loss", torch.nn.functional.mse_loss(self.line(x), y), sync_dist=True)


def examples(n):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(n))
    return torch.utils.data.TensorDataset(x, x @ torch.tensor([[2.0], [-1.0]]))


def train(trial):
    torch.manual_seed(trial.seed)
    arguments = trainer_arguments(
        trial, val_check_interval=4 * trial.accumulate, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    if "WRONG" in os.environ:
        arguments["accumulate_grad_batches"] = int(os.environ["WRONG"])
    model = Model(trial)
    trainer = Trainer(**arguments, callbacks=[TrialCallback(trial)])
    validation = torch.utils.data.DataLoader(examples(50), batch_size=50)
    trainer.fit(model, data_loader(trial, examples(90)), validation)
    if trainer.is_global_zero:
        seen = {"rates": model.rates, "sizes": model.sizes}
        (trial.run_dir / "seen.json").write_text(json.dumps(seen))
    trainer.validate(model, validation, verbose=False)
    return trainer.callback_metrics
