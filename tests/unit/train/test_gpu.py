"""The device: that a step never waits for it, on any machine; and on a GPU the same training as on the CPU."""

import pytest
import torch
from batchlaw.errors import Interrupted
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec.families import FAMILIES as EVERY
from batchlaw.spec.families import OWN
from batchlaw.train import Checkpoint, train
from batchlaw.train.data import load_parts
from batchlaw.train.parallel_runs import ParallelRuns
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.unit.train.conftest import CNN, CPU, NOWHERE, config_of
from tests.unit.train.test_checkpoint import InterruptingReport

FAMILIES = [name for name in EVERY if name != OWN]
GPU = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
NETWORKS = [({}, (1,)), ({}, (1, 2)), (CNN, (1,)), (CNN, (1, 2)), (CNN | {"precision": "bfloat16"}, (1,))]
WHOLE = (
    64  # the training size of the tiny study: the order of the examples, which differs between devices, is no matter
)


def stack_on(device, config):
    parts = load_parts(config.task, device, NOWHERE)
    return ParallelRuns(config, config.task, config.seeds, schedule_of(config), parts.train)


def trained(device, config, report=lambda *_: None, **options):
    return train(config, report, device=device, data_dir=NOWHERE, **options)


class NoReads(TorchDispatchMode):
    """Refuses every operator whose result depends on values, for which a GPU would be waited for."""

    def __init__(self, step_counts):
        super().__init__()
        self.step_counts = step_counts  # optimizers without a fused kernel keep them on the CPU

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        reads = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}
        assert func not in reads or args[0].data_ptr() in self.step_counts, func
        return func(*args, **(kwargs or {}))


class NoCopies(TorchFunctionMode):
    """Refuses the methods that bring a tensor to the CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert getattr(func, "__name__", "") not in {"tolist", "cpu", "numpy", "__array__"}, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("network", "seeds"), NETWORKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_reads_nothing_from_the_device(family, network, seeds):
    config = config_of(task=network, seeds=seeds, optimizer=family, decay="batch-growth", weight_decay=0.01)
    stack = stack_on(CPU, config)
    stack.advance(0, 1)
    states = stack.state()["optimizer"]["state"].values()
    with NoReads({state["step"].data_ptr() for state in states if "step" in state}), NoCopies():
        stack.advance(1, config.steps)
        with pytest.raises(AssertionError):
            stack.loss_sum.tolist()
        with pytest.raises(AssertionError):
            float(stack.loss_sum[0])


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("network", "seeds"), NETWORKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_never_waits_for_a_gpu(family, network, seeds):
    config = config_of(task=network, seeds=seeds, optimizer=family, decay="batch-growth")
    stack = stack_on(GPU, config)
    stack.advance(0, 4)
    torch.cuda.set_sync_debug_mode("error")
    try:
        stack.advance(4, config.steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("network", "seeds"), NETWORKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_gpu_trains_and_measures_what_the_cpu_does(family, network, seeds):
    config = config_of(task=network, seeds=seeds, optimizer=family, batch_size=WHOLE, budget={"steps": 8})
    config = config.model_copy(update={"measures": ("curves", "sharpness", "plateau")})
    ours, there = trained(CPU, config), trained(GPU, config)
    for a, b in zip(ours.replicates, there.replicates, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=0.02)  # convolutions there round to TF32
    for name, values in ours.curves[-1].items():
        assert there.curves[-1][name] == pytest.approx(values, rel=0.1, abs=0.02)
    assert there.peak_memory_bytes > 0 and there.device.startswith("cuda (")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("network", "seeds"), NETWORKS[:4])
def test_a_run_that_was_interrupted_on_a_gpu_goes_on_with_the_same_examples(tmp_path, network, seeds):
    config = config_of(task=network, seeds=seeds, optimizer="adam")
    whole, resumed = InterruptingReport(), InterruptingReport()
    trained(GPU, config, whole)
    with pytest.raises(Interrupted):
        trained(GPU, config, InterruptingReport(2), checkpoint=Checkpoint(tmp_path, [config], 0.0))
    trained(GPU, config, resumed, checkpoint=Checkpoint(tmp_path, [config], 0.0))
    for (_, a), (_, b) in zip(whole.reports, resumed.reports, strict=True):
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], rel=1e-3)
