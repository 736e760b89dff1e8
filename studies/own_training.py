"""A training function of your own, searched by own-training.toml. `batchlaw.Trial` documents its argument."""

import torch
from batchlaw import Trial
from sklearn.datasets import load_digits


def train(trial: Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images, labels = images.float() / 16, labels.long()
    train_images, train_labels = images[:1000], labels[:1000]
    validation_images, validation_labels = images[1000:1400], labels[1000:1400]

    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    optimizer = trial.optimizer(model)
    schedule = trial.schedule(optimizer)

    order = torch.randperm(1000)
    steps, metrics = trial.config.steps, {}
    for step in range(steps):
        batch = order.roll(-step * trial.batch_size)[: trial.batch_size]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch]).backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % max(1, steps // 10) == 0 or step + 1 == steps:
            with torch.no_grad():
                wrong = model(validation_images).argmax(1) != validation_labels
            metrics = {"validation_error": wrong.float().mean().item()}
            trial.report((step + 1) / steps, metrics)
    return metrics
