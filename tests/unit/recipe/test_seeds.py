"""Seeds from names: the same in every process, and different for different names."""

import subprocess
import sys
from itertools import product

from batchlaw.recipe.derive import run_seeds
from batchlaw.recipe.seeds import derive_seed


def test_the_seed_is_the_start_of_a_sha256():
    # printf 0/run/0 | sha256sum
    assert derive_seed(0, "run", 0) == 0xE4095755


def test_seeds_are_equal_in_another_process_with_another_hash_seed():
    code = "from batchlaw.recipe.seeds import derive_seed; print(derive_seed(7, 'weights'))"
    command = [sys.executable, "-c", code]
    for hash_seed in ("1", "2"):
        out = subprocess.run(command, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True)
        assert int(out.stdout) == derive_seed(7, "weights")


def test_seeds_have_32_bits_and_differ_between_names():
    names = ("run", "weights", "stream", "augment", "split", "label noise", "digits test")
    seeds = [derive_seed(*parts) for parts in product(range(20), names, range(20))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31  # all 32 bits are used


def test_the_boundaries_of_the_parts_matter():
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_more_replicates_add_seeds_at_the_end():
    assert run_seeds(5, 2) == run_seeds(5, 4)[:2]
    assert len(set(run_seeds(5, 100))) == 100
    assert not set(run_seeds(5, 100)) & set(run_seeds(6, 100))
