"""A long CSV of a million rows, read and judged: seconds and peak memory of the command.

    python -m tests.benchmarks.long_table

Two tables of 1,000,000 rows each: one whose rows are runs (20 rates × 25 batch sizes × 2,000 seeds), and one whose rows
are epochs (20 × 25 × 20 runs of 100 epochs, each with an id). Prints a line each and writes results/long_table.json.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results" / "long_table.json"
RATES, SIZES = 2.0 ** np.linspace(-10, -2, 20), np.unique(np.round(2.0 ** np.linspace(3, 11, 25)))


def table(seeds: int, epochs: int) -> pd.DataFrame:
    """A parabola around the best rate √B / 1024, with noise; a row for each epoch."""
    generator = np.random.default_rng(0)
    rate, size, seed, epoch = (
        part.ravel() for part in np.meshgrid(RATES, SIZES, np.arange(seeds), np.arange(epochs), indexing="ij")
    )
    off = np.log2(rate) - 0.5 * np.log2(size) + 10
    rows = pd.DataFrame({"lr": rate, "batch_size": size, "seed": seed, "val_loss": 1 + 0.05 * off**2})
    rows["val_loss"] += generator.normal(0, 0.02, len(rows))
    if epochs > 1:
        rows["epoch"], rows["val_loss"] = epoch, rows["val_loss"] + 1 / (1 + epoch)
        rows.insert(0, "run_id", np.char.add("run-", (np.arange(len(rows)) // epochs).astype(str)))
    return rows.round(6)


def measured(rows: pd.DataFrame) -> dict[str, float]:
    """Seconds of the clock and of the processor, and the peak of resident memory, of `batchlaw claim`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.csv"
        rows.to_csv(file, index=False)
        before, start = _children(), time.perf_counter()
        command = [sys.executable, "-m", "batchlaw", "claim", str(file), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        processor, peak = _children() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        bytes_ = file.stat().st_size
    found = json.loads(done.stdout)
    return {
        "rows": len(rows), "megabytes": round(bytes_ / 1e6, 1), "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1), "peak_gib": round(peak, 2), "verdict": found["verdict"],
        "slope": found["slope"],
    }  # fmt: skip


def _children() -> float:
    """Seconds of the processor that ended children have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure both; the peak of the second counts the first, too, as the system tells no other."""
    load = round(os.getloadavg()[0], 1)
    results = {name: measured(table(*shape)) for name, shape in {"runs": (2000, 1), "epochs": (20, 100)}.items()}
    for name, found in results.items():
        print(name, found)
    RESULTS.write_text(json.dumps(results | {"cores": os.cpu_count(), "load_before": load}, indent=1) + "\n")


if __name__ == "__main__":
    main()
