"""Running a study: by worker processes of this machine, or in this process."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchlaw import __version__
from batchlaw.cores import cores
from batchlaw.errors import BatchlawError, check_whole
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, not_logged_since, note_run
from batchlaw.study.code import Code
from batchlaw.study.progress import RunProgress, Shown
from batchlaw.study.registration import check_budget
from batchlaw.study.threads import check_threads, threads_kept
from batchlaw.workers.fleet import check_finished, check_scores, death_of, n_stops
from batchlaw.workers.launch import LocalFleet, local_devices, shares
from batchlaw.workers.time_limit import go_on
from batchlaw.workers.trackers import check_installed


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run; the fields are arguments of `Study.run`."""

    device: str
    seed: int | None
    timeout: float | None
    trials: int | None
    threads: int | None
    data_dir: Path | None

    def check_machine(self) -> None:
        """Refuse a device that this machine does not have, and a number of threads that there cannot be.

        Raises:
            BatchlawError: names the argument and its value.
        """
        from batchlaw.objectives.machine_device import machine_device

        if self.device != "auto":  # which every machine has
            machine_device(self.device)
        check_threads(self.threads)

    def check(self, spec: StudySpec) -> None:
        """Refuse what a designed study fixes, and a log for which this machine has no library.

        Raises:
            BatchlawError: names the argument or key and its value.
        """
        if spec.claim is not None and self.seed is not None:
            raise BatchlawError("the cells of a designed study share its own seeds", argument="seed", got=self.seed)
        check_budget(spec, self.trials)
        check_installed(spec.log)

    def as_arguments(self) -> list[str]:
        """For `batchlaw worker`, but for the time, of which a later worker has less."""
        given = {"seed": self.seed, "threads": self.threads, "data-dir": self.data_dir}
        pairs = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
        return ["--device", self.device, *(part for pair in pairs for part in pair)]

    def as_record(self) -> dict[str, Any]:
        """For the database; what was not given is left out."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}


def gpus_for(device: str) -> list[str]:
    """The GPUs that local workers share where they train on a device."""
    return local_devices() if device in ("auto", "cuda") else []


def n_workers(gpus: Sequence[str], devices: int) -> int:
    """How many workers this machine has room for: by its GPUs, else by its cores, and the devices of a trial."""
    return max(1, (len(gpus) or cores()) // devices)


def run_study(
    stored: StoredStudy,
    url: str,
    code: Code,
    options: Options,
    *,
    workers: int | None,
    progress: Shown | RunProgress,
) -> None:
    """See `Study.run`."""
    from batchlaw.objectives.ranks import check_launcher

    options.check_machine()
    options.check(stored.spec)
    if workers is not None:
        check_whole(workers, "workers", at_least=0)
    code.check(stored.spec)
    check_launcher(stored.spec)
    if workers is None:
        workers = n_workers(gpus_for(options.device), stored.spec.devices) if code.is_importable(stored.spec) else 0
    if options.trials is not None:
        stored.slots.resize(options.trials)
    elif options.timeout is not None:
        go_on(stored)
    note_run(
        stored,
        datetime.now(UTC).isoformat(),
        {"batchlaw": __version__, "workers": workers, **options.as_record()},
    )
    shown = progress if isinstance(progress, RunProgress) else RunProgress(stored, progress)
    shown.timeout = options.timeout
    if workers == 0:
        _run_here(stored, code, options, shown)
    else:
        _run_processes(stored, url, code, options, workers, shown)


def _run_processes(
    stored: StoredStudy, url: str, code: Code, options: Options, workers: int, progress: RunProgress
) -> None:
    """Start workers, and return when they have ended.

    Raises:
        KeyboardInterrupt: after the workers have handed their trials back, or left since the study was stopped.
        WorkFailed: the workers ended with trials left, or every trial failed.
    """
    stops, began = n_stops(stored), datetime.now(UTC)

    def replace_dead() -> None:
        for end in fleet.replace_dead(lambda pid: death_of(stored, pid) if n_stops(stored) == stops else None):
            progress.say(f"{end}; another takes its place")

    spread = shares(
        gpus_for(options.device), workers, gpus_per_worker=None, workers_per_gpu=None, devices=stored.spec.devices
    )
    with (
        code.worker_arguments(stored.spec) as arguments,
        LocalFleet(
            [*arguments, *options.as_arguments()],
            storage_url=url,
            workers=workers,
            threads=options.threads,
            timeout=options.timeout,
            gpus=spread,
        ) as fleet,
        progress,
    ):
        try:
            progress.follow(fleet, replace_dead)
        except KeyboardInterrupt:
            fleet.stop()
            progress.follow(fleet)
            raise
        if line := not_logged_since(stored, began):
            progress.say(f"warning: {line}")
        check_finished(stored, fleet, options.timeout, stops=stops)


def _run_here(stored: StoredStudy, code: Code, options: Options, progress: RunProgress) -> None:
    """Run trials in this process until the budget is spent.

    Raises:
        KeyboardInterrupt: after the trial in progress was handed back, or the study was stopped.
        WorkFailed: configurations failed and none succeeded, or the database is out of reach.
    """
    from batchlaw.objectives.folders import default_checkpoint_dir
    from batchlaw.workers.worker import Worker

    runtime = replace(
        code.runtime(stored.spec, options.device, options.data_dir, threads=options.threads, stored=stored),
        checkpoint_dir=default_checkpoint_dir(),
    )
    worker = Worker(
        stored,
        runtime,
        study_seed=stored.spec.arm.seed if options.seed is None else options.seed,
        timeout=options.timeout,
        figures=True,
        between=progress.look,
        embedded=True,
    )
    with progress, threads_kept(), runtime.interrupts.installed():
        worker.work()
    if runtime.interrupts.asked is not None:
        raise KeyboardInterrupt
    check_scores(stored)
