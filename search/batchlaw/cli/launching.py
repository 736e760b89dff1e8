"""The command that starts workers on a cluster: launch."""

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    CheckpointDirOption,
    DataDirOption,
    DeviceOption,
    StorageOption,
    ThreadsOption,
    bounded,
    output,
)
from batchlaw.errors import BatchlawError
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.storage import StoredStudy
    from batchlaw.workers.fleet import Fleet

_PLACES = ("local", "slurm", "ray")
# What runs a command on each node of a worker.
_ON_NODES = {
    "slurm": "srun --ntasks-per-node=1 --overlap --kill-on-bad-exit=1",
    "ray": shlex.join((sys.executable, "-P", "-m", "batchlaw.workers.launch.ray_nodes")),
}


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw launch digits-joint --on slurm --workers 8 --slurm partition=gpu")(launch)


def launch(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|STUDY.toml", help="A study in the database; one with your own code needs its file."
        ),
    ],
    on: Annotated[str, typer.Option("--on", help="local, slurm or ray.")] = "local",
    workers: Annotated[int, bounded("--workers", 1, 10_000, "How many workers.")] = 1,
    gpus_per_worker: Annotated[int | None, bounded("--gpus-per-worker", 1, 64, "GPUs of each worker.")] = None,
    workers_per_gpu: Annotated[int | None, bounded("--workers-per-gpu", 1, 64, "Workers on each GPU.")] = None,
    threads: ThreadsOption = None,
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    checkpoint_dir: CheckpointDirOption = None,
    slurm: Annotated[
        list[str] | None, typer.Option("--slurm", metavar="KEY=VALUE", help="An option of sbatch; repeat for more.")
    ] = None,
    minutes: Annotated[int, bounded("--minutes", 1, 1_000_000, "Slurm: time limit of a worker.")] = 60,
    logs: Annotated[Path, typer.Option("--logs", metavar="DIR", help="Slurm: folder of jobs and logs.")] = Path(
        "slurm"
    ),
    slurm_here: Annotated[
        bool, typer.Option("--slurm-here", help="Slurm: run the jobs on this machine, to try them.")
    ] = False,
) -> int:
    """Start workers on this machine, as Slurm jobs or on a Ray cluster."""
    from batchlaw.cores import cores
    from batchlaw.objectives.ranks import ON_NODES, check_launcher
    from batchlaw.storage import absolute

    if on not in _PLACES:
        raise BatchlawError(f"--on: got {on!r}; must be one of {', '.join(_PLACES)}")
    if gpus_per_worker is not None and workers_per_gpu is not None:
        raise BatchlawError(f"--workers-per-gpu: got {workers_per_gpu}; give it or --gpus-per-worker, not both")
    if on != "local" and storage.startswith("sqlite") and not (on == "ray" or slurm_here):
        raise BatchlawError(
            "--storage: got sqlite, which is for one machine; workers on several need postgresql or mysql"
        )
    if on != "local":
        os.environ.setdefault(ON_NODES, _ON_NODES[on])
    stored, argument = _study(study, storage)
    nodes = stored.spec.nodes
    if nodes > 1 and (workers_per_gpu or (gpus_per_worker or 0) % nodes):
        option = (
            f"--workers-per-gpu: got {workers_per_gpu}"
            if workers_per_gpu
            else f"--gpus-per-worker: got {gpus_per_worker}"
        )
        raise BatchlawError(f"{option}; a worker has {nodes} nodes, with equally many GPUs each")
    storage = absolute(storage)  # workers may start in another folder
    arguments = [argument, "--device", device]
    for option, folder in (("--data-dir", data_dir), ("--checkpoint-dir", checkpoint_dir)):
        arguments += [] if folder is None else [option, str(folder.resolve())]
    most = max(1, cores() // workers)
    share = {"gpus_per_worker": gpus_per_worker, "workers_per_gpu": workers_per_gpu}
    if on == "slurm":
        from batchlaw.workers.launch.slurm import submit

        jobs = submit(
            arguments, storage_url=storage, workers=workers, threads=threads, cores=most, minutes=minutes,
            options=_options(slurm), folder=logs, here=slurm_here, nodes=nodes, **share,
        )  # fmt: skip
        output.print(f"{len(jobs)} job{'s' * (len(jobs) != 1)} submitted: {', '.join(jobs)}")
        output.print(f"Logs in {logs}; follow with:  batchlaw status {stored.spec.name} --watch", soft_wrap=True)
        return 0
    if on == "ray":
        from batchlaw.workers.launch.ray import RayFleet

        with RayFleet(
            arguments, storage_url=storage, workers=workers, threads=threads, cores=most, nodes=nodes, **share
        ) as cluster:
            return _follow(stored, cluster)
    from batchlaw.workers.launch import LocalFleet, local_devices, shares

    check_launcher(stored.spec)
    found = local_devices() if device in ("auto", "cuda") else []
    gpus = shares(found, workers, devices=stored.spec.devices, **share)
    with LocalFleet(arguments, storage_url=storage, workers=workers, threads=threads, gpus=gpus) as fleet:
        return _follow(stored, fleet)


def _study(study: str, storage: str) -> "tuple[StoredStudy, str]":
    """The study, and the argument that names it to its workers."""
    from batchlaw.spec import read_spec
    from batchlaw.study.code import code_for

    file = Path(study) if study.endswith(".toml") else None
    stored = Study.open(read_spec(file).name if file else study, storage).stored
    code_for(stored.spec, file, None).check(stored.spec)
    return stored, str(file.resolve()) if file else study


def _options(pairs: list[str] | None) -> dict[str, str]:
    options = {}
    for pair in pairs or []:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise BatchlawError(f"--slurm: got {pair!r}; must be KEY=VALUE, such as partition=gpu")
        if not pair.isprintable():  # a line break would begin a line of its own in the script of the job
            raise BatchlawError(f"--slurm: got {pair!r}; must be one line of printable characters")
        options[key.removeprefix("--").replace("-", "_")] = value
    return options


def _follow(stored: "StoredStudy", fleet: "Fleet") -> int:
    """Show progress until no worker is left, and check what they did."""
    from batchlaw.results.status import counts_line, status_of
    from batchlaw.study.progress import RunProgress
    from batchlaw.workers.fleet import check_finished, n_stops

    stopped, stops = False, n_stops(stored)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with RunProgress(stored, console=output) as progress:
        try:
            progress.follow(fleet)
        except KeyboardInterrupt:
            stopped = True
            fleet.stop()
            progress.follow(fleet)
    output.print(counts_line(status_of(stored)), soft_wrap=True)
    if not stopped:
        try:
            check_finished(stored, fleet, None, stops=stops)
        except KeyboardInterrupt:
            stopped = True
    if stopped:
        output.print("Stopped.")
    return 130 if stopped else 0
