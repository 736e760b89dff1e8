"""A training function of one's own, searched by own-training.toml.

It is given a `TrainConfig` with everything decided, and a `report` to call now and then with the share of the budget
used (0 to 1) and the metrics so far. `report` raises when the trial is to end; let that pass. It returns the metrics.
"""

from collections.abc import Mapping

import torch
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import TrainConfig
from batchlaw.train import Report
from sklearn.datasets import load_digits


def train(config: TrainConfig, report: Report) -> Mapping[str, float]:
    torch.manual_seed(config.seeds[0])
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images, labels = images.float() / 16, labels.long()
    train_images, train_labels = images[:1000], labels[:1000]
    validation_images, validation_labels = images[1000:1400], labels[1000:1400]

    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    if config.optimizer == "momentum":
        optimizer = torch.optim.SGD(model.parameters(), lr=config.peak_lr, momentum=config.momentum)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.peak_lr, betas=(config.beta1, config.beta2))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule_of(config).lr_multipliers().tolist().__getitem__)

    order = torch.randperm(1000)
    metrics: dict[str, float] = {}
    for step in range(config.steps):
        batch = order.roll(-step * config.batch_size)[: config.batch_size]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch]).backward()
        optimizer.step()
        if step + 1 < config.steps:
            schedule.step()
        if (step + 1) % max(1, config.steps // 10) == 0 or step + 1 == config.steps:
            with torch.no_grad():
                wrong = model(validation_images).argmax(1) != validation_labels
            metrics = {"validation_error": wrong.float().mean().item()}
            report((step + 1) / config.steps, metrics)
    return metrics
