"""The command that measures how often verdicts are wrong, on a few of its studies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[1] / "benchmarks" / "claim_calibration.py"
SOME = "^(wall · slope 0.5 · 8×5×5|log cosh · slope 0.7, 1.26|smooth then wall · slope 0.7|flat)"
SHARES = ("wrong", "right", "slope", "levels", "closed", "bounds")


def calibrated(folder, *options):
    command = [sys.executable, str(COMMAND), "--settings", SOME, "--workers", "1", "--json", str(folder / "found.json")]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_no_verdict_on_simulated_studies_is_wrong(tmp_path):
    shown = calibrated(tmp_path, "--studies", "20").stdout
    assert "4 settings" in shown and "planted slope" in shown
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert len(rows) == 4
    for row in rows:
        assert row["studies"] == sum(row["verdicts"].values()) == 20
        assert row["wrong"]["hits"] == 0 and row["refused"] == 0
        assert row["seconds"] > 0 and {*SHARES, "slope_width", "closed_width", "closed_share", "missed"} < row.keys()
    power = {row["setting"]: row["right"]["hits"] for row in rows}
    assert max(power.values()) > 0, "a command that decides nothing is never wrong"

    # A second run finds all parts done, and comes to the same; one more part is judged alone.
    parts = tmp_path / "found.jsonl"
    first = parts.read_text()
    calibrated(tmp_path, "--studies", "20")
    assert parts.read_text() == first and json.loads((tmp_path / "found.json").read_text())["rows"] == rows
    parts.write_text(first + '{"code": "cut off whi')
    assert "4 of 4 parts" in calibrated(tmp_path, "--studies", "30").stderr

    (tmp_path / "found.json").rename(tmp_path / "before.json")
    calibrated(tmp_path, "--studies", "20")
    assert "30 → 20" in calibrated(tmp_path, "--compare", str(tmp_path / "before.json")).stdout
