"""What the choice of CPU threads costs and gains: workers started by hand, and ResNet-18.

    python tests/benchmarks/threads.py [--workers 1 2 4] [--busy 0 1] [--trials 40] [--resnet] [--json FILE]

Seconds until the workers have ended, with their start, for trials of studies/digits-joint.toml: by hand as
`batchlaw worker`, by hand with `--threads 1`, and as `batchlaw run --workers n`; alone and beside one busy process.
With `--resnet` instead: seconds a step of ResNet-18 on digits with one thread and every core, and the number chosen.
Results are added to FILE. Run it while nothing else runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "studies" / "digits-joint.toml"
BATCHLAW = [sys.executable, "-P", "-m", "batchlaw"]
WAYS = ("hand", "--threads 1", "run")


def seconds_of(way: str, workers: int, busy: int, trials: int) -> dict[str, object]:
    """Seconds of all trials, started one way, and how many trials had which number of threads."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHLAW_", "OMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db"
        environment = clean | {"BATCHLAW_STORAGE": url, "HOME": folder, "PYTHONPATH": str(ROOT / "search")}
        create = [*BATCHLAW, "create", str(STUDY), "--trials", str(trials)]
        subprocess.run(create, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            if way == "run":
                commands = [[*BATCHLAW, "run", str(STUDY), "--trials", str(trials), "--workers", str(workers)]]
            else:
                commands = [[*BATCHLAW, "worker", "digits-joint", *way.split()[: 2 * way.startswith("-")]]] * workers
            began = time.perf_counter()
            started = [
                subprocess.Popen(each, env=environment, cwd=folder, stdout=subprocess.DEVNULL) for each in commands
            ]
            assert [each.wait() for each in started] == [0] * len(started)
            seconds = time.perf_counter() - began
        finally:
            for each in beside:
                each.kill()
                each.wait()
        return {"way": way, "workers": workers, "busy": busy, "seconds": seconds, "threads": _threads(url)}


def _threads(url: str) -> dict[str, int]:
    import batchlaw
    from batchlaw.results.records import records_of

    study = batchlaw.Study.open("digits-joint", url)
    return {f"{n}": count for n, count in Counter(each.result.threads for each in records_of(study.stored)).items()}


def resnet(batch_size: int = 64, steps: int = 6) -> dict[str, object]:
    """Seconds a step of ResNet-18 with one thread and with every core, and the number that a worker chooses."""
    import torch
    from batchlaw.cores import cores
    from batchlaw.objectives.threads import Threads
    from batchlaw.recipe.derive import derive
    from batchlaw.recipe.schedule import schedule_of
    from batchlaw.spec import parse_spec
    from batchlaw.spec.knobs import Point
    from batchlaw.train.data import load_parts
    from batchlaw.train.stacking import stack_of

    task = {"dataset": "digits", "model": "resnet18", "train_size": 1000}
    space = {"batch_size": batch_size, "base_lr": 0.01, "optimizer": "momentum"}
    table = {"name": "resnet", "question": "?", "task": task, "budget": {"steps": 400}, "space": space,
             "search": {"trials": 1}}  # fmt: skip
    config = derive(parse_spec(table, "here"), Point(batch_size=batch_size, base_lr=0.01, optimizer="momentum"), (1,))
    device, nowhere = torch.device("cpu"), Path("unused")
    train = load_parts(config.task, device, nowhere).train
    began = time.perf_counter()
    chosen = Threads(given=None).choose([config], device, nowhere)
    measuring = time.perf_counter() - began
    seconds = {}
    for threads in (1, cores()):
        stack = stack_of([config], 1, train, schedule_of(config))
        torch.set_num_threads(threads)
        stack.advance(0, 2)
        began = time.perf_counter()
        stack.advance(2, 2 + steps)
        seconds[f"{threads}"] = (time.perf_counter() - began) / steps
    return {"batch_size": batch_size, "chosen": chosen, "measuring_seconds": measuring, "seconds_a_step": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, list[dict[str, object]]] = {"digits": [], "resnet": []}
    if options.json and options.json.exists():
        found = json.loads(options.json.read_text())

    def keep(part: str, result: dict[str, object]) -> None:
        found[part].append(result)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n")

    if options.resnet:
        keep("resnet", result := resnet())
        print(json.dumps(result))
        return
    print(f"{'workers':>8}{'busy':>6}" + "".join(f"{way:>14}" for way in WAYS))
    for busy in options.busy:
        for workers in options.workers:
            results = [seconds_of(way, workers, busy, options.trials) for way in WAYS]
            for result in results:
                keep("digits", result | {"trials": options.trials})
            print(f"{workers:8}{busy:6}" + "".join(f"{each['seconds']:12.1f} s" for each in results), flush=True)


if __name__ == "__main__":
    main()
