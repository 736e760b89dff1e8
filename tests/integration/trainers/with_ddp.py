"""A plain loop of PyTorch with DistributedDataParallel, on one device or several.

Environment: SLOW, seconds of a pause after each update. SAME, where every process is to draw the same examples.
FITS, the examples that fit the memory at once.
"""

import json
import os
import time
from contextlib import nullcontext

import torch
from torch import distributed, nn
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset


def examples(n):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(n))
    return TensorDataset(x, x @ torch.tensor([[2.0], [-1.0]]))


def train(trial):
    torch.manual_seed(trial.seed)
    line = nn.Linear(2, 1)
    if trial.devices > 1:
        distributed.init_process_group("gloo")
    model = DistributedDataParallel(line) if trial.devices > 1 else line
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)
    trial.guard(optimizer, model)
    data, (x, y) = examples(90), examples(50).tensors
    loader = DataLoader(data, batch_sampler=trial.batches(len(data)))
    if "SAME" in os.environ:
        loader = DataLoader(data, batch_size=trial.micro_batch_size)
    losses = []
    for part, (a, b) in enumerate(loader, start=1):
        if len(a) > int(os.environ.get("FITS", len(a))):
            torch.empty(2**60)  # no machine has so much memory
        whole = part % trial.accumulate == 0
        with nullcontext() if whole or trial.devices == 1 else model.no_sync():
            (mse_loss(model(a), b) / trial.accumulate).backward()
        if whole:
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            with torch.no_grad():
                losses.append(mse_loss(line(x), y).item())
            trial.report(len(losses) / trial.config.steps, {"loss": losses[-1]})
            time.sleep(float(os.environ.get("SLOW", "0")))
    (trial.run_dir / "losses.json").write_text(json.dumps(losses))
    if trial.devices > 1:
        distributed.destroy_process_group()
    return {"loss": losses[-1]}
