"""Whether a training of the user's own ended since its memory ran out, by what it said, and what it leaves behind."""

import gc
import re
import sys

# What PyTorch, JAX, TensorFlow, NumPy, C++, Slurm and torchrun say.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|RESOURCE_EXHAUSTED|can't allocate memory|\bMemoryError\b|ALLOC_FAILED"
    r"|Unable to allocate|std::bad_alloc|oom[-_]kill|exitcode *: -9\b",
    re.IGNORECASE,
)


def tells_lack_of_memory(text: str) -> bool:
    """Whether a line of output or an error, with its type, says that memory ran out."""
    return _OUT_OF_MEMORY.search(text) is not None


def release() -> None:
    """Give back what a training of this process has left in memory after it ran out."""
    gc.collect()  # networks and Trainers refer to one another
    torch = sys.modules.get("torch")
    if torch is not None and torch.accelerator.is_available():
        torch.accelerator.memory.empty_cache()
