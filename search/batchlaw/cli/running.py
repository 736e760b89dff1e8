"""Commands that train: run, create, worker."""

import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw import __version__
from batchlaw.cli.console import DEFAULT_URL, DataDirOption, DeviceOption, StorageOption, output, within
from batchlaw.cli.machine import cores, device_named, runtime
from batchlaw.errors import ObjectiveError, SpecError

if TYPE_CHECKING:
    from batchlaw.spec import StudySpec
    from batchlaw.storage import StoredStudy

SpecArgument = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
TrialsOption = Annotated[
    int | None,
    typer.Option(
        "--trials", callback=within("--trials", 1, 1_000_000), help="Budget of trials in place of the file's."
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", callback=within("--seed", 0, 2**63 - 1), help="Seed in place of the file's.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        callback=within("--timeout", 0, 1e9),
        help="No trial starts after so many seconds; in place of the file's study_seconds.",
    ),
]
ForkOption = Annotated[
    str | None, typer.Option("--fork", metavar="NEW_NAME", help="Start a new study from the changed file.")
]
CheckpointDirOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint-dir",
        envvar="BATCHLAW_CHECKPOINTS",
        metavar="DIR",
        help="Where interrupted trials go on from; on a shared disk, for all hosts.",
    ),
]
CheckpointSecondsOption = Annotated[
    float,
    typer.Option(
        "--checkpoint-seconds",
        callback=within("--checkpoint-seconds", 0, 86_400),
        help="Training between two checkpoints, at least.",
    ),
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download the data set if it is missing.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw run studies/digits-joint.toml --workers 2")(run)
    app.command(
        epilog="Example: batchlaw create studies/digits-joint.toml --storage postgresql+psycopg://user@host/db"
    )(create)
    app.command(epilog="Example: batchlaw worker digits-joint --device cuda")(worker)


def run(
    file: SpecArgument,
    storage: StorageOption = DEFAULT_URL,
    workers: Annotated[
        int | None,
        typer.Option("--workers", callback=within("--workers", 1, 1024), help="Processes; one a GPU, else one a core."),
    ] = None,
    device: DeviceOption = "auto",
    trials: TrialsOption = None,
    timeout: TimeoutOption = None,
    seed: SeedOption = None,
    fork: ForkOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines in place of the live display.")] = False,
) -> int:
    """Run a study: register it or go on with it, start workers, show progress, print the best configurations."""
    from batchlaw.cli.progress import RunProgress
    from batchlaw.spec import read_spec
    from batchlaw.storage import note_run, redacted
    from batchlaw.workers.launch import LocalFleet, local_devices, shares

    device_named(device)
    if seed is not None and read_spec(file).claim is not None:
        raise SpecError(f"--seed: got {seed}; the cells of a designed study share the file's seeds")
    stored = _register(file, storage, trials=trials, fork=fork, data_dir=data_dir, download=download)
    gpus = local_devices() if device in ("auto", "cuda") else []
    count = workers or len(gpus) or cores()
    overrides = {"trials": trials, "timeout": timeout, "seed": seed, "workers": count, "device": device}
    started = datetime.now(UTC).isoformat()
    note_run(stored, started, {"batchlaw": __version__, **{k: v for k, v in overrides.items() if v is not None}})
    kind = f"{len(gpus)} GPU{'s' * (len(gpus) != 1)}" if gpus else "CPU" if device == "auto" else device
    output.print(f"[bold]{stored.spec.name}[/]: {stored.spec.question}")
    output.print(
        f"{stored.slots.counts().total} trials, {count} worker{'s' * (count != 1)} on {kind}, {redacted(storage)}",
        soft_wrap=True,
    )
    # The study's own code is looked up beside the file, so workers are given the file and not the name alone.
    arguments = [str(file), "--device", device]
    for option, value in (("--seed", seed), ("--timeout", timeout), ("--fork", fork), ("--data-dir", data_dir)):
        arguments += [] if value is None else [option, str(value)]
    spread = shares(gpus, count, gpus_per_worker=None, workers_per_gpu=None)
    stopped = False
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with (
        LocalFleet(arguments, storage_url=storage, workers=count, gpus=spread) as fleet,
        RunProgress(stored, output, plain=plain) as progress,
    ):
        try:
            progress.follow(fleet)
        except KeyboardInterrupt:
            stopped = True
            fleet.stop()
            progress.follow(fleet)
        counts = stored.slots.counts()
        if not stopped and counts.done < counts.total:
            fleet.check()
    return _conclude(
        stored, storage, stopped=stopped, again=f"batchlaw run {file}" + (f" --fork {fork}" if fork else "")
    )


def _conclude(stored: "StoredStudy", storage: str, *, stopped: bool, again: str) -> int:
    """The outcome and the next commands."""
    from batchlaw.export.table import footnote, table
    from batchlaw.results.ranking import select, with_ties
    from batchlaw.results.records import records_of
    from batchlaw.results.status import counts_line, status_of
    from batchlaw.storage import redacted

    status = status_of(stored)
    output.print(counts_line(status))
    best = select(records_of(stored), stored.spec, top=5, per=None)
    if best:
        configurations = with_ties(best, best[0], stored.spec)
        output.print(table(stored.spec, configurations))
        output.print(footnote(configurations), style="dim", soft_wrap=True)
    else:
        output.print("No trial ended with a score.")
    option = "" if storage == DEFAULT_URL else f" --storage '{redacted(storage)}'"
    if status.slots.done < status.slots.total:
        left = status.slots.total - status.slots.done
        output.print(
            f"{'Stopped' if stopped else 'Ended'} with {left} trials to go; go on: {again}{option}", soft_wrap=True
        )
    name = stored.spec.name
    if stored.spec.claim is not None:
        output.print(f"Judge it:      batchlaw claim {name} --html {name}.html{option}", soft_wrap=True)
    output.print(f"Take it away:  batchlaw export {name} --format python{option}", soft_wrap=True)
    output.print(f"Look around:   batchlaw dashboard{option}", soft_wrap=True)
    return 130 if stopped else 0


def create(
    file: SpecArgument,
    storage: StorageOption = DEFAULT_URL,
    trials: TrialsOption = None,
    fork: ForkOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
) -> None:
    """Register a study without running it."""
    from batchlaw.storage import redacted

    stored = _register(file, storage, trials=trials, fork=fork, data_dir=data_dir, download=download)
    output.print(f"{stored.spec.name} stands in {redacted(storage)} with {stored.slots.counts().total} trials.")
    output.print(f"Start a worker on any machine:  batchlaw worker {stored.spec.name} --storage URL")


def worker(
    study: Annotated[
        str, typer.Argument(metavar="STUDY|STUDY.toml", help="A study's name, or its file on this machine.")
    ],
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            envvar="BATCHLAW_THREADS",
            callback=within("--threads", 1, 4096),
            help="CPU threads; all cores.",
        ),
    ] = None,
    seed: SeedOption = None,
    timeout: TimeoutOption = None,
    fork: Annotated[
        str | None, typer.Option("--fork", metavar="NEW_NAME", help="The name the file was forked to.")
    ] = None,
    data_dir: DataDirOption = None,
    lease_seconds: Annotated[
        float,
        typer.Option(
            "--lease-seconds",
            callback=within("--lease-seconds", 1, 86_400),
            help="A silent worker's trial is run again after these.",
        ),
    ] = 120.0,
    checkpoint_dir: CheckpointDirOption = None,
    checkpoint_seconds: CheckpointSecondsOption = 10.0,
    figures: Annotated[
        bool, typer.Option(envvar="BATCHLAW_FIGURES", help="Draw the study's page as it grows, in turn with others.")
    ] = True,
) -> None:
    """Run one worker until the study's budget is spent. A study of your own code needs its file, not its name."""
    from batchlaw.objectives.runtime import default_runs_dir
    from batchlaw.storage import load, open_storage
    from batchlaw.train.checkpoint import default_checkpoint_dir
    from batchlaw.workers.worker import Worker

    file = Path(study) if study.endswith(".toml") else None
    spec = _read(file, fork) if file else None
    stored = load(open_storage(storage), spec.name if spec else study)
    if stored.spec.user_code is not None and file is None:
        raise ObjectiveError(
            f"objective: study {study!r} runs {stored.spec.user_code!r}; code is run only from a study file on this "
            "machine: batchlaw worker STUDY.toml"
        )
    machine = replace(
        runtime(spec or stored.spec, device, threads or cores(), data_dir, file),
        checkpoint_dir=checkpoint_dir or default_checkpoint_dir(),
        checkpoint_seconds=checkpoint_seconds,
        runs_dir=checkpoint_dir / "runs" if checkpoint_dir else default_runs_dir(),
    )
    machine.interrupts.install()
    seconds = timeout if timeout is not None else stored.spec.arm.study_seconds
    worker = Worker(
        stored,
        machine,
        study_seed=stored.spec.arm.seed if seed is None else seed,
        deadline=None if seconds is None else time.monotonic() + seconds,
        figures=figures,
    )
    stored.slots.lease_seconds = lease_seconds
    worker.work()
    output.print(f"{worker.trials_done} trials done.")


def _read(file: Path, fork: str | None) -> "StudySpec":
    """The spec of a file, under the name it is forked to."""
    from batchlaw.spec import parse_spec, read_spec

    spec = read_spec(file)
    return spec if fork is None else parse_spec(spec.model_dump(mode="json") | {"name": fork}, "--fork")


def _register(
    file: Path, storage: str, *, trials: int | None, fork: str | None, data_dir: Path | None, download: bool
) -> "StoredStudy":
    """Check all that can be checked, then write."""
    from batchlaw.claims.hypotheses import preregistration
    from batchlaw.objectives.function import load_user_code
    from batchlaw.recipe.derive import check_space
    from batchlaw.storage import open_storage, register
    from batchlaw.train.data import default_data_dir, prepare

    spec = _read(file, fork)
    check_space(spec)
    if spec.user_code is not None:
        load_user_code(spec, file.resolve().parent)
    if spec.task is not None:
        prepare(spec.task, data_dir or default_data_dir(), download=download)
    database = open_storage(storage, create=True)
    claims = None
    if spec.claim is not None:
        if trials is not None:
            raise SpecError(f"--trials: got {trials}; a designed study has one trial for each of its cells")
        claims = preregistration(spec.claim)
        for entry in claims:
            output.print("{hypothesis}: {statement}".format(**entry), soft_wrap=True)
            output.print(
                "   supported if {supported_if};\n   contradicted if {contradicted_if}".format(**entry),
                soft_wrap=True,
                style="dim",
            )
    return register(database, spec, trials=trials, version=__version__, preregistration=claims)
