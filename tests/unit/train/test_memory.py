"""The micro-batch sizes that fit, and peak memory."""

from pathlib import Path

import pytest
import torch
from batchlaw.train import memory

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(memory, "_LARGEST", {})


def test_the_whole_batch_until_a_smaller_size_is_remembered():
    assert memory.micro_batch_size(CPU, "net", 512) == 512
    memory.remember(CPU, "net", 64)
    assert memory.micro_batch_size(CPU, "net", 512) == 64
    assert memory.micro_batch_size(CPU, "net", 16) == 16
    memory.remember(CPU, "net", 32)
    assert memory.micro_batch_size(CPU, "net", 512) == 32


def test_each_network_on_each_device_has_its_own_size():
    memory.remember(CPU, "net", 64)
    assert memory.micro_batch_size(CPU, "other", 512) == 512
    assert memory.micro_batch_size(CUDA, "net", 512) == 512


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc/self/status as the oracle")
def test_the_peak_of_the_cpu_is_that_of_the_process():
    memory.reset_peak(CPU)
    memory.release(CPU)
    touched = torch.ones(16 << 20)  # 64 MiB
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    assert memory.peak_bytes(CPU) == pytest.approx(peak, rel=0.05)
    assert memory.peak_bytes(CPU) > touched.nbytes
