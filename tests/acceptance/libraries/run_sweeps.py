"""Hold an exported sweep to W&B's schema, and print what its engine proposes after the best run."""

import json
import sys

import sweeps
from sweeps.config import SweepConfig

observed = []
for sweep, best, score in json.load(sys.stdin):
    config = SweepConfig(sweep)  # raises where the schema is broken
    run = sweeps.SweepRun(name="best", state="finished", summary_metrics={sweep["metric"]["name"]: score})
    run.config = {name: {"value": value} for name, value in best.items()}
    proposed = [sweeps.next_run(config, [run]).config for _ in range(5)]
    observed.append([{name: float(p[name]["value"]) for name in ("batch_size", "peak_lr")} for p in proposed])
print(json.dumps(observed))
