"""Train exported Lightning modules to their end, and print the steps: number, examples, learning rate."""

import contextlib
import io
import json
import runpy
import sys

import pytorch_lightning as lightning
import torch

with contextlib.redirect_stdout(io.StringIO()) as told:
    runpy.run_path("lightning", run_name="__main__")  # as it is
observed = [told.getvalue()]
for text in json.load(sys.stdin):
    module = {"__name__": "exported"}
    exec(text, module)

    class Model(module["Tuned"], lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.steps = torch.nn.Linear(4, 3), []

        def training_step(self, batch, _):
            self.steps.append((self.global_step, len(batch[0]), self.optimizers().param_groups[0]["lr"]))
            return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
    loader = torch.utils.data.DataLoader(data, batch_sampler=module["Batches"](64))
    trainer = lightning.Trainer(
        **module["TRAINER"], accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    model = Model()
    trainer.fit(model, loader)
    observed.append(model.steps)
print(json.dumps(observed))
