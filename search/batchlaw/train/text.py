"""A text as examples: windows of its bytes, one after another.

The last tenth of the bytes is the test part, and validation has the end of what is before it. The training windows are
views of one tensor of bytes on the device, so that a context costs no memory, and each byte is trained on once a pass.
"""

from pathlib import Path

import torch
from torch import Tensor

from batchlaw.spec import Task
from batchlaw.spec.own_data import text_of
from batchlaw.train.examples import Examples, Parts


def load_text_parts(task: Task, device: torch.device, data_dir: Path) -> Parts:
    """Training and validation windows of a text, on the device.

    Raises:
        DataError: the text cannot be read, or has changed.
    """
    pool = _bytes(task, data_dir)[: task.facts.n_train].to(device)
    end = len(pool) - task.n_held_out
    train = _windows(pool[:end], task, task.n_train)
    return Parts(train, _spread(_windows(pool[end:], task), task), _spread(train, task))


def load_text_test(task: Task, device: torch.device, data_dir: Path) -> Examples:
    """Windows of the test part, on the device.

    Raises:
        DataError: as in `load_text_parts`.
    """
    return _spread(_windows(_bytes(task, data_dir)[task.facts.n_train :].to(device), task), task)


def _bytes(task: Task, data_dir: Path) -> Tensor:
    return torch.frombuffer(bytearray(text_of(task, data_dir)), dtype=torch.uint8)


def _windows(content: Tensor, task: Task, n: int | None = None) -> Examples:
    """The first n windows of some bytes, or all."""
    context = task.context
    assert context is not None
    length = context * (task.windows(len(content)) if n is None else n)
    return Examples(content[:length].view(-1, context), content[1 : length + 1].view(-1, context))


def _spread(windows: Examples, task: Task) -> Examples:
    """As many windows as a loss is measured on, evenly spread."""
    n = task.n_evaluated(len(windows))
    chosen = torch.arange(n, device=windows.inputs.device) * len(windows) // n
    return Examples(windows.inputs[chosen], windows.targets[chosen])
