"""The stream of examples."""

import pytest
import torch
from batchlaw.train.stream import ExampleStream

from tests.unit.train.conftest import CPU


@pytest.mark.parametrize("batch_size", [1, 3, 10, 23, 57])
def test_steps_are_exact_and_passes_whole(batch_size):
    n = 23
    stream = ExampleStream(n, seed=5, device=CPU)
    batches = [stream.take(batch_size) for _ in range(40)]
    assert all(batch.shape == (batch_size,) and batch.dtype == torch.int64 for batch in batches)
    seen = torch.cat(batches)
    for start in range(0, len(seen) - n + 1, n):
        assert sorted(seen[start : start + n].tolist()) == list(range(n))
    assert not torch.equal(seen[:n], seen[n : 2 * n])


def test_the_stream_does_not_depend_on_the_batch_size_and_follows_its_seed():
    small, large, other = (ExampleStream(50, seed, CPU) for seed in (1, 1, 2))
    one = torch.cat([small.take(7) for _ in range(20)])
    assert torch.equal(one, torch.cat([large.take(70) for _ in range(2)]))
    assert not torch.equal(one[:50], other.take(50))
