"""A fixed wall time on a real task: what others are as their documentation has them, and ours.

    python tests/benchmarks/real.py images --seconds 120 [--repeats 3] [--methods optuna ray ours] [--json FILE]
        [--python ray=/tmp/venv-ray/bin/python syne=/tmp/venv-syne/bin/python ...]

`images` is FashionMNIST in the manner of Optuna's own PyTorch example, `text` a small language model in the manner of
nanoGPT. Each method trains on two cores and one at a time, in a turn for each repeat: `real_competitors/` has the tasks
and what a user of each library would write, and `real_TASK.toml` what a user of ours would. Space, data, budget and
reports are the same for all, and so is one thread a trial. The clock starts with the first process and counts start-up;
the data are unpacked before it. What ends after the time does not count. Finished are trials that were complete, pruned
or diverged; the best score is that of complete ones. Who tries more configurations on the same validation data is
flattered more, so the configuration that each names at its end (ours by its race, the others by their best score) is
trained again by one trainer, on twenty fresh seeds, and scored on the test data. Beside the images stands the best cell
of a dense grid, which no search can expect to beat. Differences are paired by repeat, with Student's 95 % intervals.
A FILE that is there already is gone on with: its runs count, and only further repeats and methods are run.

The libraries may need environments of their own, which can borrow the torch of this one:
    python3 -m venv /tmp/venv-ray && /tmp/venv-ray/bin/pip install pyarrow tensorboardX
    echo THIS_ENVIRONMENT/lib/python3.11/site-packages > /tmp/venv-ray/lib/python3.11/site-packages/borrowed.pth
and likewise with 'syne-tune', 'smac' and 'neural-pipeline-search'.
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchlaw.recipe.derive import derive
from batchlaw.spec import Task, read_spec
from batchlaw.spec.knobs import Point
from batchlaw.spec.own_data import text_of
from batchlaw.train import train
from batchlaw.train.data import load_parts, split_order
from real_methods import METHODS, Ended, Setting, measure, study_file
from rich.console import Console
from rich.table import Table
from scipy import stats
from torchvision.datasets import FashionMNIST
from train_speed import torchvision_root

OURS = ("ours", "ours-quarter")
RIVALS = tuple(method for method in METHODS if method not in OURS)
FRESH_SEEDS = tuple(range(1000, 1020))
MODES = {"images": "max", "text": "min"}  # whether a higher or a lower score is better
GRID_BEST = {"images": {"lr": 0.0008, "batch_size": 32, "optimizer": "RMSprop"}}  # of an outside grid, over eight seeds
LIBRARIES = {
    "ray": ("ray", "import ray.tune, tensorboardX, optuna"),
    "syne": ("syne-tune", "import syne_tune, torchvision"),
    "smac": ("smac", "import smac"),
    "neps": ("neural-pipeline-search", "import neps"),
}  # the package, and what must be there


def improvements(trials: list[Ended], sign: int) -> list[Ended]:
    """Complete trials that were better than all before them; sign: 1 where higher is better, else -1."""
    best: list[Ended] = []
    for trial in trials:
        if trial.complete and trial.score is not None and (not best or sign * (trial.score - best[-1].score) > 0):
            best.append(trial)
    return best


def seconds_to(score: float | None, better: list[dict[str, Any]], sign: int) -> float | None:
    """When the best was as good as that; None where it never was."""
    if score is None:
        return None
    return next((trial["seconds"] for trial in better if sign * (trial["score"] - score) >= 0), None)


def test_scores(task: str, params: dict[str, Any], data: Path) -> list[float]:
    """Test scores of a configuration on fresh seeds, whoever found it."""
    spec = read_spec(study_file(task))
    point = Point(
        batch_size=params["batch_size"], base_lr=params["lr"], scaling_rule="constant",
        warmup_fraction=params.get("warmup", 0.0), optimizer=params["optimizer"].lower(),
        decay=params.get("decay", "constant"), momentum=0.9, weight_decay=0.0,
    )  # fmt: skip
    metric = spec.arm.metric.replace("validation", "test")
    config = derive(spec, point, FRESH_SEEDS)
    found = train(config, lambda *_: None, device=torch.device("cpu"), data_dir=data, test=True)
    return [replicate[metric] for replicate in found.replicates]


def write_split(task: str, data: Path, file: Path) -> None:
    """Which examples are ours to train and to validate on, as the competitors read them."""
    (write_text if task == "text" else write_images)(read_spec(study_file(task)).task, data, file)


def write_text(task: Task, data: Path, file: Path) -> None:
    """The bytes to train on, and the windows to validate on, with the byte after each."""
    text = np.frombuffer(text_of(task, data), np.uint8)
    validation = load_parts(task, torch.device("cpu"), data).validation
    windows = torch.cat([validation.inputs, validation.targets[:, -1:]], dim=1)
    np.savez(file, train=text[: task.facts.n_train - task.n_held_out], validation=windows.numpy())


def write_images(task: Task, data: Path, file: Path) -> None:
    """Which of torchvision's training images are ours to train and to validate on, and how ours are standardised."""
    images = FashionMNIST(data, train=True).data
    order = split_order(len(images), task.split_seed)
    validation, training = order[: task.n_validation], order[task.n_validation : task.n_validation + task.n_train]
    unit = images[training].float() / 255  # as ToTensor gives them
    chosen = {"validation": validation.numpy(), "train": training.numpy()}
    np.savez(file, **chosen, mean=unit.mean().item(), std=unit.std().item())


def available(methods: list[str], python: dict[str, str], console: Console) -> list[str]:
    """The methods whose library can be imported; a line for each of the others."""
    found = []
    for method in methods:
        library = method.split("-")[0]
        package, probe = LIBRARIES.get(library, ("", ""))
        if probe and subprocess.run([python[library], "-c", probe], capture_output=True).returncode:
            line = f"skipped {method}: not in {python[library]}; pip install {package}, and --python {library}=PATH"
            console.print(line, markup=False, soft_wrap=True)
        else:
            found.append(method)
    return found


def run_of(method: str, setting: Setting) -> dict[str, Any]:
    """One run of one method, as a row of the document."""
    trials = measure(method, setting)
    better = improvements(trials, setting.sign)
    named = next((trial for trial in trials if trial.named), better[-1] if better else None)
    tested = test_scores(setting.task, named.params, setting.data) if named else []
    return {
        "method": method,
        "repeat": setting.repeat,
        "finished": len(trials),
        "complete": sum(trial.complete for trial in trials),
        "first_seconds": trials[0].seconds if trials else None,
        "best_score": better[-1].score if better else None,
        "named": asdict(named) if named else None,
        "test_scores": tested,
        "test_score": statistics.fmean(tested) if tested else None,
        "improvements": [asdict(trial) for trial in better],
    }


def compare(runs: list[dict[str, Any]], sign: int) -> None:
    """Add to each run when it reached the score that each rival ended with in its repeat."""
    for run in runs:
        for rival in RIVALS:
            ends = [r["best_score"] for r in runs if (r["method"], r["repeat"]) == (rival, run["repeat"])]
            run[f"seconds_to_{rival}"] = seconds_to(ends[0], run["improvements"], sign) if ends else None


def medians(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a method. A rival's score that was not reached counts as later than every time."""
    rows = []
    for method in dict.fromkeys(run["method"] for run in runs):
        mine = [run for run in runs if run["method"] == method]
        row: dict[str, Any] = {"method": method, "repeats": len(mine)}
        for name in ("finished", "complete", "first_seconds", "best_score", "test_score"):
            values = [run[name] for run in mine if run[name] is not None]
            row[name] = statistics.median(values) if values else None
        for rival in RIVALS:
            times = [run[f"seconds_to_{rival}"] for run in mine]
            row[f"reached_{rival}"] = sum(time is not None for time in times)
            middle = statistics.median(math.inf if time is None else time for time in times)
            row[f"seconds_to_{rival}"] = middle if math.isfinite(middle) else None
        rows.append(row)
    return rows


def differences(runs: list[dict[str, Any]], ceiling: list[float]) -> list[dict[str, Any]]:
    """Test score of what ours names less that of each rival and of the grid's best cell, with its interval."""
    found = []
    for ours in OURS:
        mine = {run["repeat"]: run["test_score"] for run in runs if run["method"] == ours and run["named"]}
        for rival in (*RIVALS, *(["grid"] if ceiling else [])):
            theirs = {run["repeat"]: run["test_score"] for run in runs if run["method"] == rival and run["named"]}
            theirs = dict.fromkeys(mine, statistics.fmean(ceiling)) if rival == "grid" else theirs
            pairs = [mine[repeat] - theirs[repeat] for repeat in mine if repeat in theirs]
            if len(pairs) > 1:
                mean, error = statistics.fmean(pairs), statistics.stdev(pairs) / math.sqrt(len(pairs))
                half = float(stats.t.ppf(0.975, len(pairs) - 1)) * error
                interval = [mean - half, mean + half]
                found.append({"ours": ours, "rival": rival, "pairs": len(pairs), "mean": mean, "interval": interval})
    return found


def show(rows: list[dict[str, Any]], apart: list[dict[str, Any]], seconds: float, console: Console) -> None:
    """The medians, and how ours compares with each rival."""
    by_method = {row["method"]: row for row in rows}
    grid = Table("", "finished", "complete", "first, s", "best", "on test data", "s to Optuna's", "s to Ray's")
    for method, row in by_method.items():
        grid.add_row(
            METHODS[method].label, f"{row['finished']:g}", f"{row['complete']:g}", shown(row["first_seconds"], 1),
            shown(row["best_score"], 4), shown(row["test_score"], 4),
            shown(row["seconds_to_optuna"], 1), shown(row["seconds_to_ray"], 1),
        )  # fmt: skip
    console.print(grid)
    for each in apart:
        low, high = each["interval"]
        told = f"{each['mean']:+.4f} [{low:+.4f}, {high:+.4f}] over {each['pairs']} repeats"
        console.print(f"test score, {each['ours']} less {each['rival']}: {told}", markup=False)
    ours = by_method.get("ours")
    for rival in [method for method in RIVALS if method in by_method and ours]:
        theirs, spent = by_method[rival], ours[f"seconds_to_{rival}"]
        ratio = (
            f"{ours['finished'] / theirs['finished']:.1f} times its finished"
            if theirs["finished"]
            else "the only finished"
        )
        reached = f"; its last score took ours {spent / seconds:.0%} of the time" if spent is not None else ""
        if spent is None and theirs["best_score"] is not None:
            reached = "; ours did not reach its last score"
        console.print(f"{METHODS[rival].label}: ours has {ratio} trials{reached}")


def shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(MODES))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--python", nargs="+", default=[], metavar="LIBRARY=PATH", help="interpreters of libraries")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it runs is ended with it
    torch.set_num_threads(1)
    console = Console(width=120)
    task, mode = options.task, MODES[options.task]
    sign = 1 if mode == "max" else -1
    python = dict.fromkeys(LIBRARIES, sys.executable) | dict(each.split("=", 1) for each in options.python)
    methods = available(options.methods, python, console)
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("optuna", "torch", "torchvision", "numpy")}
        | {package: version_by(python[library], package) for library, (package, _) in LIBRARIES.items()},
        "load_average": os.getloadavg()[0],  # before; the cores are to be this benchmark's alone
        "task": task,
        "seconds": options.seconds,
    }
    with tempfile.TemporaryDirectory() as name:
        data, split = torchvision_root(Path(name)), Path(name) / "split.npz"
        write_split(task, data, split)
        runs = runs_before(options.json, task, options.seconds)
        ceiling = test_scores(task, GRID_BEST[task], data) if task in GRID_BEST else []
        for repeat in range(options.repeats):
            done = {run["method"] for run in runs if run["repeat"] == repeat}
            for method in [method for method in methods if method not in done]:
                folder = Path(name) / f"{method}-{repeat}"
                folder.mkdir()
                run = run_of(method, Setting(folder, task, mode, data, split, options.seconds, repeat, python))
                scores = f"best {shown(run['best_score'], 4)}, on test data {shown(run['test_score'], 4)}"
                console.print(f"{method}, repeat {repeat}: {run['finished']} finished, {scores}")
                runs.append(run)
            compare(runs, sign)
            rows, apart = medians(runs), differences(runs, ceiling)
            if options.json:  # after each repeat, since they take long
                found = {"grid_best": ceiling, "medians": rows, "differences": apart, "runs": runs}
                n_repeats = 1 + max(run["repeat"] for run in runs)
                options.json.write_text(json.dumps({**facts, "repeats": n_repeats, **found}, indent=2) + "\n")
    show(medians(runs), differences(runs, ceiling), options.seconds, console)


def runs_before(file: Path | None, task: str, seconds: float) -> list[dict[str, Any]]:
    """The runs of the repeats that a file has."""
    if file is None or not file.exists():
        return []
    document = json.loads(file.read_text())
    if (document["task"], document["seconds"]) != (task, seconds):
        sys.exit(f"{file}: is of {document['task']} and {document['seconds']:g} s; name another file")
    return document["runs"]


def version_by(interpreter: str, package: str) -> str | None:
    """A package's version as another interpreter has it; None where it has none."""
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([interpreter, "-c", ask], capture_output=True, text=True)
    return done.stdout.strip() or None


if __name__ == "__main__":
    main()
