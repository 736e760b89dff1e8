"""Commands that train, and the one that ends it: run, worker, stop."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from batchlaw.cli.console import (
    DEFAULT_URL,
    CheckpointDirOption,
    DataDirOption,
    DeviceOption,
    DownloadOption,
    SpecArgument,
    StorageOption,
    StudyArgument,
    ThreadsOption,
    bounded,
    errors,
    output,
)
from batchlaw.cli.ending import conclude
from batchlaw.cli.figure import FigureOption
from batchlaw.cli.registering import (
    ForkOption,
    TrialsOption,
    WarmStartOption,
    budget_text,
    create,
    hint,
    registered,
    show_preregistration,
)
from batchlaw.consoles import marked
from batchlaw.study import Study

SeedOption = Annotated[int | None, bounded("--seed", 0, 2**63 - 1, "Seed; replaces the file's.")]
TimeoutOption = Annotated[
    float | None,
    bounded(
        "--timeout", 0, 1e9, "Seconds of this run after which no trial starts; replaces the file's budget_seconds."
    ),
]
CheckpointSecondsOption = Annotated[
    float, bounded("--checkpoint-seconds", 0, 86_400, "Least time between two checkpoints.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw run studies/digits-joint.toml --workers 2")(run)
    app.command(
        epilog="Example: batchlaw create studies/digits-joint.toml --storage postgresql+psycopg://user@host/db"
    )(create)
    app.command(epilog="Example: batchlaw worker digits-joint --device cuda")(worker)
    app.command(epilog="Example: batchlaw stop digits-joint --finish")(stop)
    app.command(epilog="Example: batchlaw retry digits-joint")(retry)


def run(
    file: SpecArgument,
    storage: StorageOption = DEFAULT_URL,
    workers: Annotated[
        int | None, bounded("--workers", 1, 1024, "Worker processes; one for each GPU, or else for each core.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    trials: TrialsOption = None,
    timeout: TimeoutOption = None,
    seed: SeedOption = None,
    fork: ForkOption = None,
    data_dir: DataDirOption = None,
    download: DownloadOption = False,
    warm_start: WarmStartOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="First have run again what has no result, as retry does.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print plain lines instead of the live display.")] = False,
    figure: FigureOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the study would cost on this machine, as cost does, and end.")
    ] = False,
) -> int:
    """Run a study: register or continue it, start workers, show progress, print the best configurations."""
    from batchlaw.spec import read_spec
    from batchlaw.study.progress import RunProgress
    from batchlaw.study.running import Options, gpus_for, n_workers

    options = Options(device=device, seed=seed, timeout=timeout, trials=trials, threads=threads, data_dir=data_dir)
    spec = read_spec(file)
    options.check_machine()  # before anything is written
    options.check(spec)
    if dry_run:
        from batchlaw.study.costing import cost_of_file

        for line in cost_of_file(file, workers=workers, trials=trials, device=device, data_dir=data_dir).lines():
            output.print(line, soft_wrap=True)
        return 0
    study = registered(file, storage, fork, trials, data_dir, download, warm_start)
    show_preregistration(study)
    hint(study)
    if retry_failed:
        _say_retried(study)
    _say_ignored(study, trials, timeout, seed)
    gpus = gpus_for(device)
    count = workers or n_workers(gpus, study.spec.devices)
    kind = f"{len(gpus)} GPU{'s' * (len(gpus) != 1)}" if gpus else "CPU" if device == "auto" else device
    output.print(marked("[bold]{}[/]: {}", study.name, study.spec.purpose))
    output.print(
        f"{budget_text(study)}, {count} worker{'s' * (count != 1)} on {kind}, {study.storage}",
        soft_wrap=True,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    progress = RunProgress(study.stored, "plain" if plain else True, output)
    stopped = False
    try:
        study.run(
            count, progress=progress, trials=trials, timeout=timeout, seed=seed, device=device, threads=threads,
            data_dir=data_dir,
        )  # fmt: skip
    except KeyboardInterrupt:
        stopped = True
    again = f"batchlaw run {file}" + (f" --fork {fork}" if fork else "")
    conclude(study, storage, stopped=stopped, again=again, figure=figure)
    return 130 if stopped else 0


def _say_ignored(study: Study, trials: int | None, timeout: float | None, seed: int | None) -> None:
    """Say which options change nothing, since trials have ended or begun, or the study's time is over."""
    from batchlaw.workers.time_limit import is_spent

    if timeout is None and is_spent(study.stored):
        seconds = f"budget_seconds = {study.spec.arm.budget_seconds:,g}"
        errors.print(f"note: {seconds} are over, so no trial starts; a larger number or --timeout goes on")
        return
    counts = study.stored.slots.counts()
    begun = counts.done + counts.held
    if trials is not None and trials < begun:
        errors.print(f"note: --trials {trials}: {begun} trials have begun already, and they count", soft_wrap=True)
    if counts.done >= (trials or counts.total) and not counts.open_ended and timeout is None:
        ignored = "" if seed is None else f", so --seed {seed} changes nothing"
        more = "" if study.spec.claim else "; a larger number of --trials goes on"
        errors.print(f"note: all {counts.done} trials have ended{ignored}{more}", soft_wrap=True)


def worker(
    study: Annotated[
        str, typer.Argument(metavar="STUDY|STUDY.toml", help="A study's name, or its file on this machine.")
    ],
    storage: StorageOption = DEFAULT_URL,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seed: SeedOption = None,
    timeout: TimeoutOption = None,
    fork: Annotated[
        str | None, typer.Option("--fork", metavar="NEW_NAME", help="The name the file was forked to.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Folder of the study's own code; that of its file."),
    ] = None,
    data_dir: DataDirOption = None,
    lease_seconds: Annotated[
        float,
        bounded("--lease-seconds", 1, 86_400, "Seconds without a sign of a worker after which its trial is run again."),
    ] = 120.0,
    checkpoint_dir: CheckpointDirOption = None,
    checkpoint_seconds: CheckpointSecondsOption = 10.0,
    figures: Annotated[
        bool,
        typer.Option(
            envvar="BATCHLAW_FIGURES", help="Draw the study's dashboard page while it runs, in turn with other workers."
        ),
    ] = True,
) -> None:
    """Run one worker until the study's budget is spent. A study of your own code needs its file, not its name."""
    from batchlaw.objectives.folders import default_checkpoint_dir, default_runs_dir
    from batchlaw.objectives.processes import adopt_orphans
    from batchlaw.spec import read_spec
    from batchlaw.study.code import code_for
    from batchlaw.workers.worker import Worker

    file = Path(study) if study.endswith(".toml") else None
    stored = Study.open(fork or (read_spec(file).name if file else study), storage).stored
    code = code_for(stored.spec, file, None, folder)
    machine = replace(
        code.runtime(stored.spec, device, data_dir, threads=threads, stored=stored),
        checkpoint_dir=checkpoint_dir or default_checkpoint_dir(),
        checkpoint_seconds=checkpoint_seconds,
        runs_dir=checkpoint_dir / "runs" if checkpoint_dir else default_runs_dir(),
    )
    machine.interrupts.install()
    adopt_orphans()
    worker = Worker(
        stored,
        machine,
        study_seed=stored.spec.arm.seed if seed is None else seed,
        timeout=timeout,
        figures=figures,
        draws_apart=True,
    )
    stored.slots.lease_seconds = lease_seconds
    worker.work()
    output.print(f"{worker.trials_done} trials done.")


def retry(study: StudyArgument, storage: StorageOption = DEFAULT_URL) -> None:
    """Have run again what has no result since every attempt at it failed, such as after a bug was mended."""
    _say_retried(Study.open(study, storage))


def _say_retried(study: Study) -> None:
    n = study.retry()
    output.print(f"{n} trial{'s' * (n != 1)} without a result will run again.")


def stop(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    finish: Annotated[bool, typer.Option("--finish", help="Let them finish their trials first.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until they have left.")] = False,
) -> int:
    """Have the workers of a study hand their trials back and leave, wherever they run; run goes on later."""
    try:
        asked = Study.open(study, storage).stop(finish=finish, wait=not no_wait)
    except KeyboardInterrupt:
        output.print("The workers were asked to leave; batchlaw status shows who is still there.")
        return 130
    done = "asked to leave" if no_wait else "stopped"
    output.print(f"{asked} worker{'s' * (asked != 1)} {done}." if asked else "No worker is at work.")
    return 0
