"""How long `batchlaw plan` takes on 2,000 and on 31,000 runs: seconds of the processor of the whole command.

    python tests/benchmarks/plan_speed.py [--json FILE]

The runs are those of `plan_forecasts.py`: in nine groups with few or many seeds, and in a hundred groups. Processor
time, as the machine may have other work; the goals are 5 s and 30 s.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from plan_forecasts import simulated
from rich.console import Console
from rich.table import Table

TABLES = {"nine groups, 2 seeds": (3, 2), "nine groups, 29 seeds": (3, 29), "a hundred groups, 3 seeds": (10, 3)}


def measured(groups: int, seeds: int) -> dict[str, float]:
    table, asked, _ = simulated(np.random.default_rng(0), groups=groups, seeds=seeds)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.csv"
        table.to_csv(file, index=False)
        at = [word for name, value in asked.items() for word in ("--at", f"{name}={value}")]
        columns = ["--tokens", "D", "--parameters", "N", "--lr", "lr", "--batch-size", "bs", "--score", "loss"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "batchlaw", "plan", str(file), *columns, *at, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"runs": len(table), "groups": json.loads(done.stdout)["groups"], "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [{"table": name} | measured(*of) for name, of in TABLES.items()]
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*(str(value) for value in row.values()))
    Console().print(shown)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
