"""Loaders that repeat examples: what is said of them, beside what they really give."""

import collections

import pytest
from accelerate.data_loader import BatchSamplerShard
from batchlaw.errors import ObjectiveError
from batchlaw.objectives.loaders import check_loader
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler, SequentialSampler

DEVICES = 2


def distributed(n, rank, *, drop_last=False, **options):
    sampler = DistributedSampler(range(n), DEVICES, rank, drop_last=drop_last)
    return DataLoader(range(n), batch_size=8, sampler=sampler, **options)


def batched(n, rank, *, drop_last=False):
    sampler = DistributedSampler(range(n), DEVICES, rank, drop_last=drop_last)
    return DataLoader(range(n), batch_sampler=BatchSampler(sampler, 8, drop_last=False))


def sharded(n, rank, *, drop_last=False, **options):
    whole = BatchSampler(SequentialSampler(range(n)), 8, drop_last)
    return DataLoader(range(n), batch_sampler=BatchSamplerShard(whole, DEVICES, rank, **options))


def split(n, rank, **options):
    return sharded(n, rank, split_batches=True, **options)


def repeated(loader, n):
    """How many examples a pass of all devices gives once more."""
    given = collections.Counter(int(x) for rank in range(DEVICES) for batch in loader(n, rank) for x in batch)
    return sum(given.values()) - len(given)


@pytest.mark.parametrize("loader", [distributed, batched, sharded, split])
@pytest.mark.parametrize("n", [64, 90, 91])
def test_the_examples_that_a_pass_repeats_are_counted(loader, n):
    count = repeated(loader, n)
    if not count:
        check_loader(loader(n, 0), DEVICES)
        return
    with pytest.raises(ObjectiveError, match=f"^the loader repeats {count} of {n} examples in every pass, .*drop_last"):
        check_loader(loader(n, 0), DEVICES)


@pytest.mark.parametrize(("n", "refused"), [(99, True), (201, False)])
def test_a_loader_that_repeats_few_examples_is_a_warning(caplog, n, refused):
    assert repeated(distributed, n) == 1
    if refused:
        with pytest.raises(ObjectiveError):
            check_loader(distributed(n, 0), DEVICES)
    else:
        check_loader(distributed(n, 0), DEVICES)
    assert (f"warning: the loader repeats 1 of {n} examples" in caplog.text) is not refused


@pytest.mark.parametrize("loader", [distributed, batched, sharded, split])
def test_a_loader_that_repeats_nothing_passes(loader):
    assert repeated(lambda n, rank: loader(n, rank, drop_last=True), 91) == 0
    check_loader(loader(91, 0, drop_last=True), DEVICES)


def test_on_one_device_nothing_is_repeated(trial_of):
    check_loader(None, 1)
    check_loader(DataLoader(range(91), batch_size=8, sampler=RandomSampler(range(91))), 1)
    check_loader([1, 2, 3], 2)  # no loader of PyTorch's
