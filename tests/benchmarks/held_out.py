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
from batchlaw.laws.transfer import transfer_of_study
from batchlaw.measure.transfer_training import trained
from batchlaw.objectives.folders import default_data_dir
from batchlaw.objectives.runtime import Runtime
from batchlaw.storage import load, open_storage
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--storage", default=DEFAULT_URL)
    parser.add_argument("--reference", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, transfers, rows = Console(width=120), [], []
    torch.set_num_threads(1)  # as the study's workers had
    runtime = Runtime(torch.device("cpu"), default_data_dir())
    for name in options.studies:
        stored = load(open_storage(options.storage), name)
        transfer = transfer_of_study(stored, reference_batch_size=options.reference)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(name, total=None)

            def tick(done: int, total: int, bar: Progress = progress, task: TaskID = task) -> None:
                bar.update(task, completed=done, total=total)

            transfers += trained(stored.spec, transfer, runtime, tick=tick).strata
    grid = Table("study", "rule", "mean regret", "median regret / SE", "batch sizes within 1 SE")
    for found in transfers:
        label = " ".join([found.law.title, *map(str, found.law.stratum.values())])
        away = np.arange(len(found.errors)) != found.reference
        ratios = {rule.name: (rule.carried.regrets.mean(axis=1) / found.errors)[away] for rule in found.rules}
        for rule in found.rules:
            of_rule = ratios[rule.name]
            grid.add_row(
                label, rule.name, escape(str(rule.regret)), f"{np.median(of_rule):+.2f}",
                f"{(of_rule <= 1).sum()} of {len(of_rule)}",
            )  # fmt: skip
        medians = {name: float(np.median(of_rule)) for name, of_rule in ratios.items()}
        rows.append(found.as_dict() | {"standard_errors": found.errors.tolist(), "medians_in_standard_errors": medians})
    console.print(grid)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "torch": version("torch")}
        options.json.write_text(json.dumps({"machine": machine, "studies": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
