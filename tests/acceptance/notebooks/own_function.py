# %%
import math

import batchlaw as bl
import numpy as np


# %%
def train(trial):
    """Stands for a training: its best learning rate is √(batch size) / 100, and its loss has a little noise."""
    noise = np.random.default_rng([trial.seed, trial.batch_size]).normal(scale=0.02)
    octaves_off = math.log2(trial.config.peak_lr) - math.log2(math.sqrt(trial.batch_size) / 100)
    for part in range(1, 11):
        trial.report(part / 10, {"loss": octaves_off**2 + 1 / part + noise})
    return {"loss": octaves_off**2 + 0.1 + noise}


# %%
study = bl.Study.create(
    name="notebook",
    objective=train,
    metric="loss",
    direction="minimize",
    trials=64,
    sampler="qmc",
    pruner="none",
    search={"confirm": False},  # all trials cover the space, for the law
    space={"batch_size": (4, 256), "base_lr": (1e-3, 1.0), "optimizer": "sgd"},
    train_size=1000,
    epochs=2,
)
study.run()

# %%
study.best()

# %%
law = study.law()
law

# %%
print(law.exponent, *law.predict(batch_size=100))

# %%
study.figure("law")

# %%
loop = bl.Study.create(
    name="loop",
    metric="loss",
    direction="minimize",
    trials=10,
    space={"batch_size": [16, 32], "base_lr": (1e-3, 1.0)},
    train_size=1000,
    epochs=2,
)
while trial := loop.ask():
    try:
        result = train(trial)
    except bl.Pruned as pruned:
        result = pruned
    loop.tell(trial, result)
loop
