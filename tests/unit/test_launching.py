"""Options of a scheduler, which stand in a script of lines."""

import pytest
from batchlaw.cli.launching import _options
from batchlaw.errors import BatchlawError


@pytest.mark.parametrize("pair", ["partition=gpu\n#SBATCH --uid=0", "a=\r\nb", "comment=\x1b[2J", "x=\u2028y"])
def test_an_option_of_slurm_is_one_line(pair):
    with pytest.raises(BatchlawError, match="must be one line") as refused:
        _options([pair])
    assert str(refused.value).isprintable()
    assert _options(["--mem-per-cpu=4G"]) == {"mem_per_cpu": "4G"}
