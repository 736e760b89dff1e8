"""One of the processes whose devices share every batch while steps are timed; `batchlaw.measure.shared_steps`.

torchrun … -m batchlaw.measure.shared_rank REQUEST.json
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import distributed
from torch.optim import Optimizer

from batchlaw.measure.profiler import Bench, timed_rows
from batchlaw.objectives.runtime import Runtime
from batchlaw.spec import StudySpec
from batchlaw.spec.families import OptimizerFamily
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns


class SharedBench(Bench):
    """Steps on this device's share of every batch, with the gradients averaged over all devices."""

    def stack(self, family: OptimizerFamily, batch_size: int, steps: int) -> ParallelRuns:
        """See `Bench.stack`."""
        stack = super().stack(family, batch_size, steps)
        stack.optimizer.register_step_pre_hook(_average)
        return stack

    def seconds_a_step(self, stack: ParallelRuns, steps: int) -> float:
        """Of the slowest device, so that all of them go on alike."""
        distributed.barrier()
        seconds = torch.tensor(super().seconds_a_step(stack, steps), device=self.device)
        distributed.all_reduce(seconds, distributed.ReduceOp.MAX)
        return float(seconds)


def _average(optimizer: Optimizer, *_: object) -> None:
    """Put the mean over all devices in the place of each gradient."""
    gradients = [each.grad for group in optimizer.param_groups for each in group["params"]]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, part in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def main(file: Path) -> None:
    """Time what a request asks for, and print a JSON line for each row and for each stretch."""
    request = json.loads(file.read_text(encoding="utf-8"))
    spec, kind = StudySpec.model_validate_json(request["spec"]), request["device"]
    device = torch.device("cpu") if kind == "cpu" else torch.device(kind, int(os.environ["LOCAL_RANK"]))
    if kind != "cpu":
        torch.accelerator.set_device_index(device.index)
    distributed.init_process_group(device_id=None if kind == "cpu" else device)
    assert spec.task is not None
    runtime = Runtime(device, Path(request["data_dir"]))
    train = load_parts(spec.task, device, runtime.data_dir).train
    bench = SharedBench(spec, spec.task, train, runtime, distributed.get_world_size())

    def tell(line: object) -> None:
        if distributed.get_rank() == 0:
            sys.stdout.write(json.dumps(line) + "\n")

    for family in request["families"]:
        for row in timed_rows(bench, family, request["sizes"], request["stretch"], lambda: tell("tick")):
            tell(asdict(row))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
