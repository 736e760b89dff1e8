"""The learning rate of a batch size that was left out: predicted by the law and by the rules, then trained.

    python tests/benchmarks/held_out.py STUDY… [--storage URL] [--reference 32] [--json FILE]

Each study is a finished designed one, such as claim-batch-per-lr and claim-fashion-mnist of studies/. For each batch
size the law is fitted to the others, the rules carry the rate that is best at the reference, and every predicted rate
is trained on the study's seeds. Regret is the score after tuning (each seed in the optimum of the other seeds) less the
score at the predicted rate; it is told in standard errors over seeds of the score after tuning.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from batchlaw.cli.console import DEFAULT_URL
from batchlaw.laws import laws_of
from batchlaw.laws.transfer import transfers_of
from batchlaw.measure.transfer_training import n_trainings, trained
from batchlaw.objectives.runtime import Runtime
from batchlaw.results.records import records_of
from batchlaw.storage import load, open_storage
from batchlaw.train.data import default_data_dir
from rich.console import Console
from rich.progress import Progress
from rich.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--storage", default=DEFAULT_URL)
    parser.add_argument("--reference", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, rows = Console(width=120), []
    torch.set_num_threads(1)  # as the study's workers had
    runtime = Runtime(torch.device("cpu"), default_data_dir())
    for name in options.studies:
        stored = load(open_storage(options.storage), name)
        laws = laws_of(stored.spec, records_of(stored))
        for transfer in transfers_of(stored.spec, laws, reference=options.reference):
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(name, total=n_trainings(transfer))
                found = trained(stored.spec, transfer, runtime, done=lambda p=progress, t=task: p.advance(t))
            rows.append({"study": name, **found.as_dict()})
    grid = Table("study", "rule", "mean regret", "median regret / SE", "batch sizes within 1 SE")
    for row in rows:
        label = " ".join([row["study"], *map(str, row["stratum"].values())])
        for rule in row["rules"]:
            away = [b for b in rule["per_batch_size"] if b["batch_size"] != row["reference_batch_size"]]
            ratios = [b["regret"] / b["standard_error"] for b in away]
            rule["median_in_standard_errors"] = float(np.median(ratios))
            regret = rule["regret"]
            grid.add_row(
                label, rule["rule"],
                f"{regret['value']:+.4f} \\[{regret['ci_low']:+.4f}, {regret['ci_high']:+.4f}]",
                f"{np.median(ratios):+.2f}", f"{sum(ratio <= 1 for ratio in ratios)} of {len(ratios)}",
            )  # fmt: skip
    console.print(grid)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "torch": version("torch")}
        options.json.write_text(json.dumps({"machine": machine, "studies": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
