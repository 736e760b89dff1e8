"""A plain loop with Accelerate, on one device or several. Environment: SLOW, seconds of a pause after each update."""

import json
import os
import time

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset


def examples(n):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(n))
    return TensorDataset(x, x @ torch.tensor([[2.0], [-1.0]]))


def train(trial):
    torch.manual_seed(trial.seed)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=trial.accumulate)
    line = torch.nn.Linear(2, 1)
    optimizer = trial.optimizer(line)
    model, optimizer = accelerator.prepare(line, optimizer)  # not the loader: each process draws its share itself
    schedule = trial.schedule(optimizer.optimizer)
    trial.guard(optimizer, model)
    data, (x, y) = examples(90), examples(50).tensors
    losses, step = [], 0
    for a, b in DataLoader(data, batch_sampler=trial.batches(len(data))):
        with accelerator.accumulate(model):
            accelerator.backward(torch.nn.functional.mse_loss(model(a), b))
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            schedule.step()
            step += 1
            with torch.no_grad():
                losses.append(torch.nn.functional.mse_loss(line(x), y).item())
            trial.report(step / trial.config.steps, {"loss": losses[-1]})
            time.sleep(float(os.environ.get("SLOW", "0")))
    if accelerator.is_main_process:
        (trial.run_dir / "losses.json").write_text(json.dumps(losses))
    accelerator.end_training()
    return {"loss": losses[-1]}
