"""How `real.py` runs each method: what it starts, how long it lets it run, and where it reads the finished trials."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.results.records import records_of
from batchlaw.results.standings import Standings
from batchlaw.storage import load, open_storage
from optuna.trial import TrialState

ROOT = Path(__file__).parents[2]
COMPETITORS = Path(__file__).with_name("real_competitors")
GRACE = 120.0  # seconds to end in after the time


@dataclass(frozen=True)
class Ended:
    """A finished trial: the second of the clock at which it ended, and its last validation score."""

    seconds: float
    complete: bool
    score: float | None
    params: dict[str, Any]  # as the competitors name them
    named: bool = False  # whether the method names it at its end; where it names none, that is its best complete one


@dataclass(frozen=True)
class Setting:
    """What a method is run with."""

    folder: Path  # its own
    task: str  # a module of the competitors, and a study beside this file: real_TASK.toml
    mode: str  # of its score: "max" or "min"
    data: Path
    split: Path
    seconds: float
    repeat: int
    python: dict[str, str]

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.mode == "max" else -1

    @property
    def common(self) -> list[str]:
        """Arguments that all competitors take."""
        places = ["--data", str(self.data), "--split", str(self.split)]
        return ["--task", self.task, "--seconds", str(self.seconds), *places]

    def run(self, *commands: list[str]) -> None:
        """Run processes side by side to their end.

        Raises:
            RuntimeError: one failed, or did not end in time.
        """
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "search"), "SYNETUNE_FOLDER": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",  # it would look for a network
        }  # fmt: skip
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
        log = self.folder / "log.txt"
        with log.open("a") as output:
            processes = [
                subprocess.Popen(
                    command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )
                for command in commands
            ]  # fmt: skip
            until = time.monotonic() + self.seconds + GRACE
            try:
                codes = [process.wait(max(until - time.monotonic(), 0)) for process in processes]
            except subprocess.TimeoutExpired:
                codes = ["no end in time"]
            finally:
                for process in processes:
                    end(process)
        if any(codes):
            raise RuntimeError(f"{commands[0][1]}: {codes}: {log.read_text()[-2000:]}")


def study_file(task: str) -> Path:
    """What a user of ours would write for a task."""
    return Path(__file__).with_name(f"real_{task}.toml")


def end(process: subprocess.Popen) -> None:
    """End what still runs, with what it has started: asked first, since some pass the word on."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_optuna(setting: Setting) -> list[dict[str, Any]]:
    url = f"sqlite:///{setting.folder / 'optuna.db'}"
    create = ["create-study", "--study-name", "real", "--storage", url, "--direction", f"{setting.mode}imize"]
    setting.run([str(Path(sys.executable).with_name("optuna")), *create])
    worker = [sys.executable, str(COMPETITORS / "optuna_study.py"), "--storage", url, *setting.common]
    setting.run(worker, worker)
    study = optuna.load_study(study_name="real", storage=url)
    return [
        {
            "ended": trial.datetime_complete.timestamp(),
            "complete": trial.state == TrialState.COMPLETE,
            "score": trial.value,
            "params": trial.params,
        }
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ]


def run_ray(setting: Setting) -> list[dict[str, Any]]:
    return run_script(setting, "ray", "ray_tuner.py")


def run_ray_reusing(setting: Setting) -> list[dict[str, Any]]:
    return run_script(setting, "ray", "ray_tuner.py", "--reuse-actors")


def run_syne(setting: Setting) -> list[dict[str, Any]]:
    return run_script(setting, "syne", "syne_tuner.py")


def run_smac(setting: Setting) -> list[dict[str, Any]]:
    return run_script(setting, "smac", "smac_facade.py")


def run_neps(setting: Setting) -> list[dict[str, Any]]:
    output = setting.folder / "trials.jsonl"
    worker = [setting.python["neps"], str(COMPETITORS / "neps_worker.py"), *setting.common, "--output", str(output)]
    setting.run(worker, [*worker, "--second"])
    return [json.loads(line) for line in output.read_text().splitlines()]


def run_script(setting: Setting, library: str, name: str, *flags: str) -> list[dict[str, Any]]:
    """A script that has its own workers and writes its trials at the end."""
    output = setting.folder / "trials.json"
    script = [setting.python[library], str(COMPETITORS / name)]
    setting.run([*script, *setting.common, "--output", str(output), *flags])
    return json.loads(output.read_text())


def run_ours(setting: Setting) -> list[dict[str, Any]]:
    until = time.time() + setting.seconds
    url = f"sqlite:///{setting.folder / 'batchlaw.db'}"
    options = ["--workers", "2", "--device", "cpu", "--timeout", str(setting.seconds), "--seed", str(setting.repeat)]
    place = ["--storage", url, "--data-dir", str(setting.data)]
    setting.run(
        [sys.executable, "-P", "-m", "batchlaw", "run", str(study_file(setting.task)), "--plain", *options, *place]
    )
    names = {"adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}
    stored = load(open_storage(url), "real")
    ended = [each for each in records_of(stored) if each.outcome in ENDED and each.ended is not None]
    in_time = [record for record in ended if record.ended.timestamp() <= until]
    best = Standings(stored.spec, in_time).best
    return [
        {
            "ended": record.ended.timestamp(),
            "complete": record.outcome == Outcome.COMPLETE,
            "score": record.value,
            "params": {
                "lr": record.config.peak_lr,
                "batch_size": record.config.batch_size,
                "optimizer": names[record.config.optimizer],
                "warmup": record.point_in(stored.spec).warmup_fraction,
                "decay": record.config.decay,
            },
            "named": record is best,
        }
        for record in in_time
    ]


@dataclass(frozen=True)
class Method:
    """A way to search."""

    label: str
    run: Callable[[Setting], list[dict[str, Any]]]
    share: float = 1.0  # of the time


METHODS = {
    "optuna": Method("Optuna, two processes on SQLite", run_optuna),
    "ray": Method("Ray Tune, OptunaSearch and ASHA", run_ray),
    "ray-reuse": Method("the same, reuse_actors=True", run_ray_reusing),
    "syne": Method("Syne Tune, ASHA", run_syne),
    "smac": Method("SMAC3, multi-fidelity facade", run_smac),
    "neps": Method("NePS, PriorBand", run_neps),
    "ours": Method("batchlaw run, two workers", run_ours),
    "ours-quarter": Method("the same, a quarter of the time", run_ours, 0.25),
}


def measure(name: str, setting: Setting) -> list[Ended]:
    """The trials that a method finished within its time, by their end."""
    method = METHODS[name]
    setting = replace(setting, seconds=setting.seconds * method.share)
    began = time.time()
    found = method.run(setting)
    trials = [Ended(seconds=trial.pop("ended") - began, **trial) for trial in found]
    return sorted((trial for trial in trials if trial.seconds <= setting.seconds), key=lambda trial: trial.seconds)
