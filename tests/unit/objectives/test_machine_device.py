"""The device that code of the user's own may use, told without loading PyTorch."""

import pytest
import torch
from batchlaw.errors import BatchlawError
from batchlaw.objectives.machine_device import MachineDevice, machine_device
from batchlaw.train.device import device_name, device_named


def test_a_machine_without_device_files_of_an_accelerator_has_its_cpu(tmp_path):
    (tmp_path / "null").touch()
    assert machine_device("auto", tmp_path) == machine_device("cpu", tmp_path) == MachineDevice("cpu", "cpu")


@pytest.mark.slow
def test_where_an_accelerator_may_be_pytorch_is_asked(tmp_path):
    (tmp_path / "nvidia0").touch()
    known = device_named("auto")
    assert machine_device("auto", tmp_path) == MachineDevice(known.type, device_name(known))


@pytest.mark.slow
def test_a_device_that_is_none_is_refused():
    with pytest.raises(
        BatchlawError, match=r"^device: got 'abacus'; must be auto, cpu or an accelerator such as cuda$"
    ):
        machine_device("abacus")
    if not torch.accelerator.is_available():
        with pytest.raises(BatchlawError, match=r"^device: got 'cuda'; this machine has cpu only$"):
            machine_device("cuda")
