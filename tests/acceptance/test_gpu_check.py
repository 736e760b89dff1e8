"""`tests/gpu_check.sh` on the CPU, with small numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "gpu_check.sh"
CHECKS = {
    "tests marked gpu", "no host synchronisation", "out of memory", "bfloat16", "stacked replicates", "four workers",
    "data on the device", "step time (H1)",
}  # fmt: skip


def gpu_check(python, *arguments):
    environment = os.environ | {"PYTHON": str(python)}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)


@pytest.mark.release
@pytest.mark.timeout(420)  # the script's own limit is 350 s
def test_every_check_is_in_both_files_and_none_fails(tmp_path):
    ended = gpu_check(sys.executable, tmp_path, "--device", "cpu")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = json.loads((tmp_path / "gpu_check-cpu.json").read_text())["rows"]
    assert {row["check"] for row in rows} == CHECKS
    judged = {row["check"] for row in rows if row["ok"]}
    assert judged == {"out of memory", "bfloat16", "stacked replicates", "four workers"}
    table = (tmp_path / "gpu_check-cpu.md").read_text()
    assert all(f"| {check} | " in table for check in CHECKS) and "failed" not in table
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gpu_check-cpu.json", "gpu_check-cpu.md"]


def test_a_machine_without_our_packages_is_told_what_it_lacks(tmp_path):
    import packaging

    site = tmp_path / "site"
    site.mkdir()
    (site / "torch.py").touch()
    (site / "packaging").symlink_to(Path(packaging.__file__).parent)
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nPYTHONPATH={site}:$PYTHONPATH exec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    ended = gpu_check(bare, tmp_path / "results")
    assert ended.returncode == 2 and "lacks:" in ended.stderr and "--wheels" in ended.stderr
    assert "optuna<6,>=5" in ended.stderr and "pytest-xdist>=3.6" in ended.stderr
    assert not (tmp_path / "results").exists()
