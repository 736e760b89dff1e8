"""A benchmark of this checkout beside the same benchmark of another one, such as the version before a change.

    git worktree add /tmp/before REVISION
    python tests/benchmarks/beside.py [--rounds 3] [--json FILE] /tmp/before overhead [-- OPTIONS OF THE BENCHMARK]
    python tests/benchmarks/beside.py /tmp/before train_speed -- --rounds 3

The two take turns, in the same environment, so that a machine that slows down slows both. The table has the medians
over the rounds, and their ratio, this checkout's over the other's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parents[2]
# Of each benchmark: what names a row of its JSON, and the numbers to compare.
ROWS = {
    "overhead": (
        ("database", "stored", "workers", "trial_seconds"), ("overhead", "beside_ms", "processor_ms", "median")
    ),
    "train_speed": (("task", "batch_size", "optimizer"), ("steps", "whole")),
}  # fmt: skip


def measured(checkout: Path, benchmark: str, options: list[str]) -> dict[tuple[tuple[str, ...], str], float]:
    """One run of a checkout's own benchmark: its numbers by row and name."""
    names, numbers = ROWS[benchmark]
    source = checkout / "search"
    path = source if (source / "batchlaw").is_dir() else checkout  # before 0.2 the package was the source folder
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, str(checkout / "tests" / "benchmarks" / f"{benchmark}.py"), "--json", str(file)]
        environment = os.environ | {"PYTHONPATH": str(path)}
        subprocess.run([*command, *options], env=environment, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(file.read_text())
    values = {}
    for row in [*found["rows"], *found.get("start_up", [])]:
        flat: dict[str, Any] = row | row.get("examples_per_second", {})
        key = tuple(str(row.get(name, "start of a worker")) for name in names)
        values |= {(key, name): float(flat[name]) for name in numbers if name in flat}
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout with the same benchmark")
    parser.add_argument("benchmark", choices=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("options", nargs="*", help="of the benchmark, after --")
    options = parser.parse_args()
    checkouts = {"before": options.other.resolve(), "after": HERE}
    found: defaultdict[tuple[tuple[str, ...], str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(options.rounds):
        # In turn, and each first in every other round.
        for name in list(checkouts)[:: -1 if number % 2 else 1]:
            for key, value in measured(checkouts[name], options.benchmark, options.options).items():
                found[key][name].append(value)
    rows = [
        {"of": " · ".join(key), "number": number, "runs": dict(runs)}
        | {name: statistics.median(values) for name, values in runs.items()}
        for (key, number), runs in found.items()
        if len(runs) == len(checkouts)
    ]
    grid = Table("", "number", "before", "after", "after/before")
    for row in rows:
        row["ratio"] = row["after"] / row["before"]
        grid.add_row(row["of"], row["number"], f"{row['before']:.4g}", f"{row['after']:.4g}", f"{row['ratio']:.3f}")
    Console(width=140).print(grid)
    if options.json:
        options.json.write_text(json.dumps({"benchmark": options.benchmark, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
