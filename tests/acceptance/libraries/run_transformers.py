"""Train with exported TrainingArguments to their end, and print rates, batches and optimizers."""

import json
import sys
from pathlib import Path

import torch
from transformers import HfArgumentParser, Trainer, TrainerCallback, TrainingArguments


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.norm = torch.nn.Linear(4, 3), torch.nn.LayerNorm(3)

    def forward(self, x, labels):
        sizes.append(len(x))
        return {"loss": torch.nn.functional.cross_entropy(self.norm(self.network(x)), labels)}


class Watch(TrainerCallback):
    def on_step_begin(self, args, state, control, optimizer, **_):
        seen.append(optimizer.param_groups[0]["lr"])


observed = []
for text in json.load(sys.stdin):
    Path("args.json").write_text(text)
    (parsed,) = HfArgumentParser(TrainingArguments).parse_json_file("args.json")
    args = TrainingArguments(
        **json.loads(text), use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, logging_strategy="no"
    )
    assert all(getattr(parsed, name) == getattr(args, name) for name in json.loads(text))
    data = [{"x": torch.randn(4), "labels": n % 3} for n in range(64)]
    sizes, seen = [], []
    trainer = Trainer(Model(), args, train_dataset=data, callbacks=[Watch()])
    trainer.train()
    optimizer = trainer.optimizer.optimizer
    groups = [{k: v for k, v in g.items() if k != "params"} | {"n": len(g["params"])} for g in optimizer.param_groups]
    told = {"groups": groups, "optimizer": type(optimizer).__name__, "clip": args.max_grad_norm}
    observed.append(told | {"rates": seen, "sizes": sizes})
print(json.dumps(observed))
