"""What a GPU must show, in one table; on a CPU the same with small numbers. `tests/gpu_check.sh` calls it.

    python tests/benchmarks/gpu_check.py FOLDER [--device auto] [--seconds 330]

Writes `gpu_check-DEVICE.json` and `.md` to the folder after every check, so that a check that hangs or kills the
process leaves the others. A check that would start after `--seconds` is a failed row. Exit code 1: a check failed.

Images are drawn at random in the sizes of Fashion-MNIST: no data has to be there, and the time of a step does not
depend on what an image shows.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tomli_w
import torch
from batchlaw.measure.profiler import profile_of
from batchlaw.objectives.runtime import Runtime, versions
from batchlaw.recipe.derive import derive, run_seeds
from batchlaw.recipe.schedule import schedule_of
from batchlaw.spec import IntRange, StudySpec, TrainConfig, parse_spec
from batchlaw.spec.families import FAMILIES as EVERY
from batchlaw.spec.families import OWN
from batchlaw.spec.knobs import Point
from batchlaw.train import device_name, networks, train
from batchlaw.train.data import load_parts
from batchlaw.train.device import device_named
from batchlaw.train.stacking import stack_of
from rich.console import Console
from train_speed import config_of, medians

FAMILIES = [name for name in EVERY if name != OWN]
ROOT = Path(__file__).parents[2]
GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Size:
    """The numbers of the checks."""

    train_size: int
    seconds_a_batch_size: float  # of timed steps
    largest_batch: int
    steps: dict[int, int]  # of the comparison with a DataLoader, by batch size
    replicates: int
    stacked_steps: int
    memory_batch: int
    channels: int  # of the cnn
    precision_network: dict[str, Any]
    precision_batch: int
    precision_steps: int
    trials: int


REAL = Size(
    train_size=48_000, seconds_a_batch_size=1.0, largest_batch=65_536, steps={64: 500, 1024: 100, 8192: 20},
    replicates=8, stacked_steps=500, memory_batch=8192, channels=32, precision_network={"model": "resnet18"},
    precision_batch=512, precision_steps=60, trials=16,
)  # fmt: skip
SMALL = Size(
    train_size=2_000, seconds_a_batch_size=0.05, largest_batch=512, steps={64: 50, 512: 10}, replicates=4,
    stacked_steps=20, memory_batch=64, channels=4, precision_batch=64, precision_steps=20, trials=4,
    precision_network={"model": "cnn", "model_options": {"channels": 4}},
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table; `ok` is None where nothing is judged."""

    check: str
    setting: str
    result: str
    ok: bool | None = None
    details: Any = None


@dataclass(frozen=True)
class Bench:
    """Where to measure, with which numbers, and a folder with the images."""

    device: torch.device
    size: Size
    folder: Path

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def networks(self) -> list[dict[str, Any]]:
        """The one that is bound by the launch of kernels, and one that is bound by their work."""
        return [{"model": "mlp"}, {"model": "cnn", "model_options": {"channels": self.size.channels}}]

    @property
    def task(self) -> dict[str, Any]:
        return {"dataset": "fashion-mnist", "train_size": self.size.train_size, "validation_fraction": 1 / 60}

    def spec(self, task: dict[str, Any], *, search: dict[str, Any] | None = None, **space: object) -> StudySpec:
        study = {
            "name": "gpu-check",
            "question": "Does it run on this device?",
            "task": self.task | task,
            "budget": {"steps": 40},
            "space": {"batch_size": 64, "base_lr": 0.1, "optimizer": "momentum", **space},
            "search": {"trials": 1, "reports": 2, **(search or {})},
        }
        return parse_spec(study, "gpu_check")

    def config(
        self, task: dict[str, Any], batch_size: int, steps: int, *, replicates: int = 1, optimizer: str = "momentum"
    ) -> TrainConfig:
        spec = self.spec(task, optimizer=optimizer)
        spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"steps": steps})})
        point = Point(batch_size=batch_size, base_lr=0.1, optimizer=optimizer)
        return derive(spec, point, run_seeds(0, replicates))

    def train(self, config: TrainConfig, *, stacked: bool | None = None) -> Any:
        return train(config, lambda *_: None, device=self.device, data_dir=self.folder, stacked=stacked)


def draw_images(folder: Path) -> None:
    """Ten random pictures under noise, as torchvision's files of Fashion-MNIST."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 64, (10, 28, 28), np.uint8)
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        labels = generator.integers(0, 10, n, np.uint8)
        images = pictures[labels] + generator.integers(0, 192, (n, 28, 28), np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            header = np.array([0x0800 + array.ndim, *array.shape], ">i4").tobytes()
            (raw / name).write_bytes(header + array.tobytes())


def marked_tests(bench: Bench) -> Iterator[Row]:
    """The tests that need a GPU."""
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-q", "-p", "no:cacheprovider", *map(str, files)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    line = re.sub(r" in [\d.]+s.*|=", "", (ended.stdout.splitlines() or ["no output"])[-1]).strip()
    setting = f"{len(files)} file{'s' * (len(files) != 1)}"
    if bench.gpu:
        yield Row("tests marked gpu", setting, line, ended.returncode == 0, ended.stdout[-8000:])
    else:
        yield Row("tests marked gpu", setting, f"not applicable: {line}", None if ended.returncode == 0 else False)


def step_times(bench: Bench) -> Iterator[Row]:
    """The time of a step against the batch size (H1)."""
    for network in bench.networks:
        spec = bench.spec(network)
        # Beyond the checks of a study file: no data set has 65,536 examples, so a batch takes some of them twice.
        sizes = IntRange(low=1, high=bench.size.largest_batch, log2=True)
        spec = spec.model_copy(update={"space": spec.space.model_copy(update={"batch_size": sizes})})
        runtime = Runtime(bench.device, bench.folder)
        profile = profile_of(spec, runtime, seconds=bench.size.seconds_a_batch_size)
        rows = profile.rows_of("momentum")
        shown = [row for row in rows if row.batch_size in (1, 64, 1024, 16_384, rows[-1].batch_size)]
        times = ", ".join(f"{row.batch_size:,}: {row.seconds_a_step * 1e3:.2f} ms" for row in shown)
        setting = f"{network['model']}, B = 1 … {rows[-1].batch_size:,}"
        result = f"{times}; {profile.line('momentum')}; {profile.largest.line()}"
        yield Row("step time (H1)", setting, result, details=profile.as_record())


def data_on_device(bench: Bench) -> Iterator[Row]:
    """Examples a second with the data on the device against a `DataLoader`."""
    workers = 4 if bench.gpu else 0
    for batch_size, steps in bench.size.steps.items():
        config = config_of({**bench.task, "model": "mlp"}, batch_size, "momentum", steps)
        seconds = medians(config, bench.folder, 2, bench.device, workers)
        rates = {loop: config.examples / value for loop, value in seconds.items()}
        result = f"{rates['steps']:,.0f} examples/s against {rates['DataLoader']:,.0f}"
        ratio = rates["steps"] / rates["DataLoader"]
        setting = f"mlp, B = {batch_size:,}; DataLoader of {workers} processes"
        yield Row("data on the device", setting, f"{result}: {ratio:.1f} ×", details=rates)


def stacked_replicates(bench: Bench) -> Iterator[Row]:
    """Replicates as one network against one after another: speed, and the same losses."""
    for network in bench.networks:
        config = bench.config(network, 64, bench.size.stacked_steps, replicates=bench.size.replicates)
        bench.train(config, stacked=True)  # warms up
        stack, in_turn = bench.train(config, stacked=True), bench.train(config, stacked=False)
        pairs = zip(stack.replicates, in_turn.replicates, strict=True)
        apart = max(abs(a["validation_loss"] - b["validation_loss"]) for a, b in pairs)
        faster = in_turn.train_seconds / stack.train_seconds
        setting = f"{bench.size.replicates} × {network['model']}, B = 64, {config.steps} steps"
        yield Row("stacked replicates", setting, f"{faster:.2f} × as fast; losses differ by {apart:.1e}", apart < 0.02)


@contextmanager
def little_memory(bench: Bench, examples: int) -> Iterator[str]:
    """A GPU with 1 GiB left. A CPU cannot run out in this way: there the error is raised above so many examples."""
    if bench.gpu:
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info(bench.device)
        ballast = torch.empty(max(free - GIB, 0), dtype=torch.uint8, device=bench.device)
        yield f"1 GiB of {total / GIB:.0f} left"
        del ballast
        torch.cuda.empty_cache()
        return
    build = networks.build

    def built(*arguments: Any) -> torch.nn.Module:
        def check(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if len(inputs[0]) > examples:
                raise torch.OutOfMemoryError

        model = build(*arguments)
        model.register_forward_pre_hook(check)
        return model

    with patch.object(networks, "build", built):
        yield f"mock: the error is raised above {examples} examples"


def accumulation(bench: Bench) -> Iterator[Row]:
    """A batch that does not fit is accumulated to the same training, and its micro-batch is recorded."""
    config = bench.config(bench.networks[1], bench.size.memory_batch, 10, optimizer="adam")
    whole = bench.train(config)
    with little_memory(bench, bench.size.memory_batch // 3) as how:
        parts = bench.train(config)
    apart = abs(whole.metrics["validation_loss"] - parts.metrics["validation_loss"])
    recorded = f"micro-batch {parts.micro_batch_size:,}, {parts.grad_accum_steps} a step recorded"
    setting = f"cnn, B = {config.batch_size:,}; {how}"
    ok = parts.micro_batch_size < whole.micro_batch_size and parts.grad_accum_steps > 1 and apart < 0.02
    yield Row("out of memory", setting, f"{recorded}; loss differs by {apart:.1e} from the whole batch's", ok)


def bfloat16(bench: Bench) -> Iterator[Row]:
    """bfloat16 by autocast against float32: speed, and nearly the same loss."""
    size, ended = bench.size, {}
    for precision in ("float32", "bfloat16"):
        task = {**size.precision_network, "precision": precision}
        bench.train(bench.config(task, size.precision_batch, 3, optimizer="adam"))  # warms up
        config = bench.config(task, size.precision_batch, size.precision_steps, optimizer="adam")
        ended[precision] = bench.train(config)
    full, half = (ended[precision].metrics["train_loss"] for precision in ended)
    faster = ended["bfloat16"].examples_per_second / ended["float32"].examples_per_second
    setting = f"{size.precision_network['model']}, B = {size.precision_batch}, {size.precision_steps} steps"
    result = f"{faster:.2f} × as fast; training loss {half:.4f} against {full:.4f}"
    yield Row("bfloat16", setting, result, abs(half - full) < 0.1 * full + 0.02)


def four_workers(bench: Bench) -> Iterator[Row]:
    """Four workers on one device."""
    file, storage = bench.folder / "study.toml", f"sqlite:///{bench.folder / 'workers.db'}"
    space = {"batch_size": {"low": 32, "high": 256, "log2": True}, "base_lr": {"low": 0.001, "high": 0.1, "log": True}}
    search = {"trials": bench.size.trials, "pruner": "none"}
    spec = bench.spec({"model": "mlp", "train_size": 4096}, search=search, **space)
    file.write_text(tomli_w.dumps(spec.model_dump(mode="json", exclude_none=True, exclude_unset=True)))

    def batchlaw(*arguments: object) -> str:
        command = [sys.executable, "-P", "-m", "batchlaw", *map(str, arguments), "--storage", storage]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    batchlaw("create", file)
    began = time.perf_counter()
    share = ["--workers-per-gpu", 4] if bench.gpu else ["--device", "cpu"]
    batchlaw("launch", file, "--workers", 4, "--checkpoint-dir", bench.folder / "checkpoints", *share)
    seconds = time.perf_counter() - began
    status = json.loads(batchlaw("status", spec.name, "--json"))
    outcomes = status["outcomes"]
    named = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items() if n)
    setting = f"launch --workers 4 {' '.join(map(str, share))}, {status['trials']} trials"
    result = (
        f"{status['done']} of {status['trials']} done ({named}), {status['workers_ended']} workers, {seconds:.0f} s"
    )
    yield Row("four workers", setting, result, outcomes.get("complete") == bench.size.trials)


def no_waiting(bench: Bench) -> Iterator[Row]:
    """Steps that never wait for the GPU, with every optimizer, in both precisions, alone and stacked."""
    setting = f"{len(FAMILIES)} optimizers; mlp, cnn, resnet18; float32, bfloat16; 1 run, 3 stacked"
    if not bench.gpu:
        yield Row("no host synchronisation", setting, "not applicable: torch.cuda.set_sync_debug_mode needs a GPU")
        return
    waited = []
    kinds = [("mlp", "float32", 1), ("mlp", "float32", 3), ("cnn", "bfloat16", 1), ("cnn", "float32", 3)]
    cases = [(family, *kind) for family in FAMILIES for kind in kinds] + [("momentum", "resnet18", "bfloat16", 1)]
    for family, model, precision, runs in cases:
        task = {"model": model, "precision": precision, "train_size": 1000}
        config = bench.config(task, 64, 40, replicates=runs, optimizer=family)  # 40 steps begin two more passes
        parts = load_parts(config.task, bench.device, bench.folder)
        stack = stack_of([config], runs, parts.train, schedule_of(config))
        stack.advance(0, 10)
        torch.cuda.set_sync_debug_mode("error")
        try:
            stack.advance(10, 40)
        except RuntimeError as error:
            waited.append(f"{family} {model} {precision} × {runs}: {str(error).splitlines()[0]}")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    result = f"{len(cases) - len(waited)} of {len(cases)} loops never wait"
    yield Row("no host synchronisation", setting, "; ".join([result, *waited]), not waited)


# `accumulation` is the last, since the process remembers the micro-batch that fits.
CHECKS: list[Callable[[Bench], Iterator[Row]]] = [
    marked_tests, no_waiting, bfloat16, stacked_replicates, four_workers, data_on_device, step_times, accumulation,
]  # fmt: skip


def write(folder: Path, facts: dict[str, Any], rows: list[Row]) -> Path:
    """The JSON and the table of the rows so far; returns the file of the table."""
    words = {True: "ok", False: "**failed**", None: ""}
    table = [f"| {r.check} | {r.setting} | {r.result.replace('|', '/')} | {words[r.ok]} |" for r in rows]
    head = ", ".join(f"{name} {value}" for name, value in facts.items() if name not in ("device", "numbers"))
    title = f"# GPU check on {facts['device']}, with {facts['numbers']} numbers"
    lines = [title, "", f"`tests/gpu_check.sh`; {head}.", "", "| check | setting | result | |", "|---|---|---|---|"]
    name = re.sub(r"[^a-z0-9]+", "-", facts["device"].lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    record = facts | {"rows": [asdict(row) for row in rows]}
    (folder / f"gpu_check-{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    file = folder / f"gpu_check-{name}.md"
    file.write_text("\n".join([*lines, *table]) + "\n")
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=330.0)
    options = parser.parse_args()
    device = device_named(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # small steps, maybe beside other processes
    began, console, rows = time.monotonic(), Console(width=160), []
    facts = {
        "device": device_name(device),
        "numbers": "small" if device.type == "cpu" else "real",
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{platform.machine()} × {os.cpu_count()}",
        "threads": torch.get_num_threads(),
        **versions(),
    }
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        os.environ["BATCHLAW_DATA"] = scratch
        draw_images(Path(scratch))
        bench = Bench(device, SMALL if device.type == "cpu" else REAL, Path(scratch))
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            at = time.monotonic()
            try:
                if at - began > options.seconds:
                    raise TimeoutError("not run: no time left")
                rows += check(bench)
            except Exception as error:  # whatever a device may raise; the other checks go on
                console.print_exception()
                lines = f"{type(error).__name__}: {error}".splitlines()
                rows.append(Row(name, "", lines[0], False, getattr(error, "stderr", None)))
            console.print(f"{name}: {time.monotonic() - at:.0f} s")
            file = write(options.folder, facts, rows)
    console.print(file.read_text(), markup=False, soft_wrap=True)
    return 1 if any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
