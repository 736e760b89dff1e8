# %%
import json

import batchlaw as bl
from own_training import train

# %%
study = bl.Study.create(
    name="designed",
    question="Does the best batch size grow with the learning rate?",
    objective=train,
    train_size=4096,
    epochs=1,
    space={"batch_size": (1, 256), "base_lr": [2.0**exponent for exponent in range(-8, 0)], "optimizer": "sgd"},
    claim={"hypotheses": ["H9"], "metric": "loss", "direction": "minimize", "reports": 1, "replicates": 5},
).run(workers=2)
study

# %%
claim = study.claim()
claim

# %%
print(json.dumps(claim.as_dict()))

# %%
study.figure("ridge")
