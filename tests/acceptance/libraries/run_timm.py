"""Do with exported flags what train.py of pytorch-image-models does, and print rates and optimizers."""

import argparse
import json
import sys

import torch
from timm.optim import create_optimizer_v2, optimizer_kwargs
from timm.scheduler import create_scheduler_v2, scheduler_kwargs
from timm.utils import ParseKwargs

# The flags that a file of ours uses, with their types and defaults; the script itself is no part of the wheel.
parser = argparse.ArgumentParser()
for flag, kind, default in [
    ("--batch-size", int, 128),
    ("--grad-accum-steps", int, 1),
    ("--opt", str, "sgd"),
    ("--opt-eps", float, None),
    ("--momentum", float, 0.9),
    ("--weight-decay", float, 2e-5),
    ("--sched", str, "cosine"),
    ("--lr", float, None),
    ("--warmup-lr", float, 1e-5),
    ("--min-lr", float, 0),
    ("--epochs", int, 300),
    ("--warmup-epochs", int, 5),
    ("--cooldown-epochs", int, 0),
    ("--decay-rate", float, 0.1),
    ("--decay-epochs", float, 90),
    ("--seed", int, 42),
]:
    parser.add_argument(flag, type=kind, default=default)
parser.add_argument("--opt-betas", type=float, nargs="+")
parser.add_argument("--opt-kwargs", nargs="*", default={}, action=ParseKwargs)
parser.add_argument("--decay-milestones", type=int, nargs="+", default=[90, 180, 270])
parser.add_argument("--sched-on-updates", action="store_true")
parser.add_argument("--warmup-prefix", action="store_true")

observed = []
for words, train_size in json.load(sys.stdin):
    args = parser.parse_args(words)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    optimizer = create_optimizer_v2(model, **optimizer_kwargs(cfg=args), **args.opt_kwargs)
    groups = [{k: v for k, v in g.items() if k != "params"} | {"n": len(g["params"])} for g in optimizer.param_groups]
    batches = train_size // args.batch_size  # its loader drops the last
    updates = (batches + args.grad_accum_steps - 1) // args.grad_accum_steps
    scheduler, epochs = create_scheduler_v2(optimizer, **scheduler_kwargs(args), updates_per_epoch=updates)
    rates = []
    for done in range(1, epochs * updates + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(num_updates=done)
    seen = {"rates": rates, "groups": groups, "optimizer": type(optimizer).__name__, "seed": args.seed}
    observed.append(seen | {"examples": args.batch_size * args.grad_accum_steps})
print(json.dumps(observed))
