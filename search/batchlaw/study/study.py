"""`Study`: a study in a database, from Python."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchlaw.errors import BatchlawError, Diverged, Pruned, StudyError
from batchlaw.study.files import StrPath, path_of
from batchlaw.study.results import StudyResults

if TYPE_CHECKING:
    from batchlaw.objectives.trial import TrainFunction
    from batchlaw.results.step_time import Profile
    from batchlaw.storage import StoredStudy
    from batchlaw.study.code import Code
    from batchlaw.study.progress import RunProgress, Shown
    from batchlaw.workers.asking import AskedTrial, Asking

DEFAULT_URL = "sqlite:///batchlaw.db"


class Study(StudyResults):
    """A study in a database: `Study.create` registers one or opens it, `Study.open` finds one by its name.

    >>> study = bl.Study.create(name="example", objective=train, metric="val_loss", direction="minimize", trials=8,
    ...                         space={"batch_size": [16, 32, 64], "base_lr": (1e-4, 1.0), "optimizer": ["adamw"]},
    ...                         train_size=50_000, epochs=10)
    >>> study.run(workers=0, progress=False)
    Study('example', 8 of 8 trials, minimize val_loss)
    >>> best = study.best(3)
    >>> best[0].config.optimizer
    'adamw'
    >>> len(study.trials())
    8

    Attributes:
        stored: the study as it lies in the database, for code of this package; may change between versions.
    """

    def __init__(self, stored: "StoredStudy", storage: str, code: "Code") -> None:
        super().__init__(stored, storage, code)
        self._asking: Asking | None = None

    @classmethod
    def create(
        cls,
        file: StrPath | None = None,
        storage: str | None = None,
        *,
        name: str | None = None,
        question: str | None = None,
        objective: "str | TrainFunction | None" = None,
        command: Sequence[str | Mapping[str, Any]] | None = None,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        keep_runs: bool | None = None,
        devices: int | None = None,
        nodes: int | None = None,
        launcher: Sequence[str] | None = None,
        micro_batch_size: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        progress: Mapping[str, Any] | None = None,
        diverged: Mapping[str, Any] | None = None,
        out_of_memory: Mapping[str, Any] | None = None,
        names: Mapping[str, Mapping[str, str]] | None = None,
        score_command: Sequence[str | Mapping[str, Any]] | None = None,
        task: Mapping[str, Any] | None = None,
        dataset: "str | Sequence[Any] | None" = None,
        model: str | None = None,
        train_size: int | None = None,
        tokens_per_example: int | None = None,
        budget: Mapping[str, Any] | None = None,
        space: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        claim: Mapping[str, Any] | None = None,
        log: Mapping[str, Any] | None = None,
        metric: str | None = None,
        direction: Literal["maximize", "minimize"] | None = None,
        trials: int | None = None,
        budget_seconds: float | None = None,
        replicates: int | None = None,
        sampler: str | None = None,
        pruner: str | None = None,
        start: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        examples: int | None = None,
        data_dir: StrPath | None = None,
        download: bool = False,
        warm_start: StrPath | Sequence[StrPath] = (),
    ) -> "Study":
        """Register a study from a study file or from keywords; if it is already stored, open it.

        A study is there whole or not at all: a process that is killed leaves nothing, and of many processes that do
        this at once one registers and the others open. A study that was renamed is found by its former name, until
        another takes the name: by a file and `name`, or by `rename`.

        Every table of a study file is a keyword. In `space` a number or a name fixes a hyperparameter, a list is a
        choice, and a tuple `(low, high)` is a range on the scale of its hyperparameter: logarithmic for `base_lr` and
        `weight_decay`, powers of two for a `batch_size` between two of them, else linear.

        >>> study = bl.Study.create(name="mine", metric="val_loss", direction="minimize", trials=20, train_size=50_000,
        ...                         epochs=10, space={"batch_size": (16, 256), "base_lr": (1e-4, 1.0)})
        >>> study
        Study('mine', 0 of 20 trials, minimize val_loss)

        Args:
            file: a study file. Beside it only `name`, `trials` and `objective` can be given: a new study from a changed
                file, a budget in place of the file's, and the function that the file names.
            storage: URL of the database. None takes `BATCHLAW_STORAGE` of the environment, or else
                `sqlite:///batchlaw.db`.
            name: of the study.
            question: that the study answers; None takes one that names what is searched.
            objective: your training function, which gets a `Trial` and returns its final metrics, or its name,
                "module:function". A study without `objective`, `task` and `command` is for `ask` and `tell`.
            command: a program and its arguments, with hyperparameters in braces.
            folder: where the program runs.
            environment: variables that the program gets beside those of this process.
            files: to write before the program starts, below "{run_dir}"; each with the file of its template.
            keep_runs: False deletes the folder of a trial when it has ended well.
            devices: that share a batch of the program or function.
            nodes: machines that these devices are on.
            launcher: a program that starts the processes on them in place of torchrun.
            micro_batch_size: the most examples that one of them computes at once.
            metrics: where the metrics of the program are read; by default from lines of JSON.
            progress: how far the program is.
            diverged: by what a program is known to have diverged.
            out_of_memory: by what a program is known to have had too little memory.
            names: for a hyperparameter the program's own words for its values.
            score_command: a program that scores what the program has trained.
            task: a built-in network and its data. `dataset` and `model` can be given by themselves.
            dataset: a name, a file of arrays (.npz), or arrays of your own, (x, y) or (train_x, train_y, test_x,
                test_y): images (n, [channels,] side, side) or features (n, features), and labels from 0. Arrays are
                kept in the folder of the data sets, where worker processes read them.
            model: a built-in network.
            train_size: training examples in an epoch; of your own training, a `task` knows its size. Needed where a
                budget counts epochs.
            tokens_per_example: with it budgets and batches are known in tokens, too.
            budget: how long a trial trains. `epochs`, `steps` and `examples` can be given by themselves.
            space: the hyperparameters to search.
            parameters: hyperparameters of your own, likewise: `{"dropout": (0.0, 0.5), "width": [128, 256]}`. A tuple
                `(1e-5, 1e-1, "log")` is searched on a log scale; a table may have a condition, as in
                `{"low": 0.0, "high": 0.99, "when": "optimizer == 'sgd'"}`.
            schedule: details of the decay of the learning rate.
            search: the table of an adaptive search. `metric`, `direction`, `trials`, `budget_seconds`, `replicates`,
                `sampler`, `pruner`, `start` and `seed` can be given by themselves.
            claim: the table of a designed study, in place of `search`. `metric`, `direction`, `budget_seconds`,
                `replicates` and `seed` can be given by themselves.
            log: a library that every finished trial is logged to: `{"to": "mlflow"}`, "wandb" or "tensorboard".
            metric: the name of the score among the metrics.
            direction: "maximize" or "minimize" the metric.
            trials: budget of trials of a search, which needs this or `budget_seconds`, or has both.
            budget_seconds: budget of wall time in which somebody is at work on the study; then no trial starts.
            replicates: seeds that each trial trains with; its value is their mean.
            sampler: "tpe", "per-second", "gp", "random" or "qmc".
            pruner: "hyperband", "asha", "median" or "none".
            start: configurations that are tried first, as `[{"batch_size": 32, "base_lr": 0.1}]`; what one leaves out
                is sampled.
            seed: of the study.
            epochs: budget of a trial in passes over the training examples.
            steps: budget of a trial in optimizer updates.
            examples: budget of a trial in training examples.
            data_dir: folder of the data sets of a task.
            download: whether to download a data set that is missing.
            warm_start: earlier studies in the database, by name, and files of runs, whose best configurations a new
                search tries first: at most five, and a tenth of its trials. Values outside of its space are moved to
                the nearest ones.

        Raises:
            SpecError: a value is wrong; the message names field, value and bound.
            ObjectiveError: the training function cannot be found.
            DataError: the data set is missing.
            StorageError: the database cannot be used.
            StudyError: the name is taken by a study with another specification.
        """
        from batchlaw.objectives.folders import default_data_dir
        from batchlaw.study.arrays import with_arrays
        from batchlaw.study.code import code_of
        from batchlaw.study.registration import register_study, spec_of

        path = None if file is None else Path(file)
        keywords = {
            "name": name, "question": question, "objective": objective, "command": command, "folder": folder,
            "environment": environment, "files": files, "keep_runs": keep_runs, "devices": devices,
            "nodes": nodes, "launcher": launcher, "micro_batch_size": micro_batch_size, "metrics": metrics,
            "progress": progress, "diverged": diverged, "out_of_memory": out_of_memory, "names": names,
            "score_command": score_command, "task": task,
            "dataset": dataset, "model": model, "train_size": train_size, "tokens_per_example": tokens_per_example,
            "budget": budget, "space": space, "parameters": parameters, "schedule": schedule, "search": search,
            "claim": claim, "log": log, "metric": metric, "direction": direction, "trials": trials,
            "budget_seconds": budget_seconds, "replicates": replicates,
            "sampler": sampler, "pruner": pruner, "start": start, "seed": seed,
            "epochs": epochs, "steps": steps, "examples": examples,
        }  # fmt: skip
        known, arrays = with_arrays(keywords, path_of(data_dir) or default_data_dir())
        spec, code, url = spec_of(path, known), code_of(objective, path), url_of(storage)
        sources = [warm_start] if isinstance(warm_start, str | os.PathLike) else warm_start
        stored = register_study(
            spec, code, url, trials=None if path is None else trials, data_dir=path_of(data_dir), download=download,
            new=path is not None and name is not None, arrays=arrays,
            warm_from=[str(source) for source in sources],
        )  # fmt: skip
        return cls(stored, url, code)

    @classmethod
    def open(
        cls,
        name: str,
        storage: str | None = None,
        *,
        file: StrPath | None = None,
        objective: "TrainFunction | None" = None,
    ) -> "Study":
        """Find a study by its name, or by a former name that no other study has taken.

        A study with a training function or program of yours runs code, and code is run only from this machine, never
        because the database names it. To run such a study, give its file or its function; to read it, neither is
        needed.

        Args:
            name: of the study.
            storage: as for `create`.
            file: the study's file, with its code beside it.
            objective: the training function that the study names.

        Raises:
            StorageError: the database cannot be used.
            StudyError: it holds no study of this name, or the file is that of another study.
            SpecError: the study names another function.
        """
        from batchlaw.storage import load, open_storage
        from batchlaw.study.code import code_for

        url = url_of(storage)
        stored = load(open_storage(url), name)
        return cls(stored, url, code_for(stored.spec, path_of(file), objective))

    def run(
        self,
        workers: int | None = None,
        *,
        progress: "Shown | RunProgress" = True,
        trials: int | None = None,
        timeout: float | None = None,
        seed: int | None = None,
        device: str = "auto",
        threads: int | None = None,
        data_dir: StrPath | None = None,
    ) -> "Study":
        """Run trials until the budget is spent, and return the study.

        Args:
            workers: how many worker processes to start; 0 runs the trials in this process. None starts one for each
                GPU, or without a GPU one for each core. A function that other processes cannot import, such as one of
                a notebook, runs in this process.
            progress: show the progress: live on a terminal, as a bar in a notebook, otherwise in lines on standard
                error. "plain" shows lines everywhere.
            trials: a new budget of trials, which extends or cuts that of the study.
            timeout: seconds of this run after which no trial starts, in place of the study's `budget_seconds`.
            seed: in place of the study's. A designed study takes none.
            device: "auto", "cpu", or an accelerator of PyTorch's such as "cuda".
            threads: of the CPU for each worker. None takes OMP_NUM_THREADS, or else as many as make a trial's steps
                faster, at most the worker's share of the cores. A trial that ran before keeps its number.
            data_dir: folder of the data sets.

        Raises:
            BatchlawError: an argument is wrong.
            ObjectiveError: the training function cannot be found on this machine, or by worker processes.
            WorkFailed: the workers ended with trials left, or every trial failed.
            KeyboardInterrupt: the run was interrupted or stopped. Its trials in progress wait to be run again.
        """
        from batchlaw.study.running import Options, run_study

        options = Options(
            device=device, seed=seed, timeout=timeout, trials=trials, threads=threads, data_dir=path_of(data_dir)
        )
        run_study(self.stored, self._url, self._code, options, workers=workers, progress=progress)
        return self

    def stop(self, *, finish: bool = False, wait: bool = True) -> int:
        """Have every live worker of the study leave, wherever it runs; another `run` goes on later.

        A worker learns of it with its next heartbeat, within five seconds. It hands its trial back, so that the next
        worker runs it, and ends with exit code 0. A run that waits for its workers ends like an interrupted one. A loop
        of your own keeps its trial, and its next `ask` returns None. Workers that start later work as usual.

        Args:
            finish: let the workers finish the trials in progress.
            wait: return when they have left; trials that are asked for in this process are not waited for.

        Returns:
            The number of workers that were asked to leave.
        """
        from batchlaw.study.stopping import stop_study

        return stop_study(self.stored, "finish" if finish else "now", wait=wait)

    def retry(self) -> int:
        """Have what has no result run again, since every attempt at it failed; the next `run` does it.

        Returns:
            The number of trials, or of cells of a designed study, that are to run again.
        """
        from batchlaw.workers.recovery import retry

        return retry(self.stored)

    def rename(self, name: str) -> None:
        """Give the study another name, also while workers are at work on it.

        Files, exports and dashboards with the former name stay valid: it leads to the study until another study takes
        it. The study keeps the folder of its trials' files.

        Args:
            name: the new one; the name of no other study.

        Raises:
            SpecError: it cannot be the name of a study.
            StudyError: another study has the name.
        """
        from batchlaw.storage import load, rename_study

        rename_study(self.stored, name)
        self.stored = load(self.stored.storage, name)

    def delete(self, *, force: bool = False) -> list[Path]:
        """Delete the study from the database: its trials, attributes, pages and workers, all of them or nothing.

        Files stay: those of its trials in the folders that are returned, and the checkpoints of interrupted trials in
        the folder of checkpoints. After this the object is of no use.

        Args:
            force: even while workers are at work; they are asked to leave, and their trials are lost.

        Returns:
            The folders on this machine with files of its trials.

        Raises:
            StorageError: workers are at work, and it is not forced.
        """
        from batchlaw.objectives.folders import default_runs_dir
        from batchlaw.storage import delete_study, folder_name

        folder = default_runs_dir() / folder_name(self.stored)
        delete_study(self.stored, force=force)
        return [folder] if folder.is_dir() else []

    def profile(
        self,
        *,
        optimizers: Sequence[str] | None = None,
        seconds: float = 1.0,
        devices: Sequence[int] = (),
        device: str = "auto",
        threads: int | None = None,
        data_dir: StrPath | None = None,
        tick: Callable[[int, int], None] = lambda done, total: None,
    ) -> "Profile":
        """Time a step at each batch size on this machine, and keep the profile with the study for `recommend`.

        A profile holds for a kind of device and its threads. Measure while nothing else runs. Of code of the user's own
        nothing is measured or kept: the trials that have run tell the times.

        Args:
            optimizers: to measure, some of the space's; None takes all of them.
            seconds: of timed steps, for each batch size and optimizer.
            devices: further numbers of devices that share every batch, such as [2, 4].
            device: as for `run`.
            threads: of the CPU; None takes OMP_NUM_THREADS, or else for each batch size as many as a worker would.
            data_dir: folder of the data sets.
            tick: called after each part of the work, with the number of parts done and that of all.

        Raises:
            BatchlawError: an argument is wrong.
            StudyError: no trial of the user's own code tells its time.
            DataError: the data set is missing.
            WorkFailed: not even one example at a time fits on the device.
        """
        from batchlaw.storage import note_profile
        from batchlaw.study.profiling import measured, told_by_trials

        if self.spec.task is None:
            return told_by_trials(self.stored, optimizers, devices)
        found = measured(
            self.spec, self._code, optimizers=optimizers, seconds=seconds, devices=devices, device=device,
            threads=threads, data_dir=path_of(data_dir), tick=tick,
        )  # fmt: skip
        note_profile(self.stored, found.as_record())
        return found

    def ask(self) -> "AskedTrial | None":
        """A trial to train in a loop of your own; None when the budget is spent or the study was stopped.

        Other workers and loops can share the study. While they train the last trials, `ask` waits, because a trial may
        have to be run again. A trial is yours until you tell its result; if you drop it, or your process ends, another
        worker runs it again. Until it is told, PyTorch has `trial.threads` CPU threads in this process. The study's
        `trial_seconds` has no effect here.

        >>> while trial := study.ask():
        ...     try:
        ...         result = train(trial)  # calls trial.report now and then
        ...     except (bl.Pruned, bl.Diverged) as ending:
        ...         result = ending
        ...     study.tell(trial, result)

        Raises:
            StudyError: every trial that is left was asked for by this object and not told.
            WorkFailed: the database is out of reach.
        """
        if self._asking is None:
            from batchlaw.objectives.folders import default_data_dir
            from batchlaw.objectives.runtime import Runtime
            from batchlaw.objectives.threads import Threads
            from batchlaw.storage import other_pids
            from batchlaw.train.device import device_named
            from batchlaw.workers.asking import Asking

            own = Threads(others=partial(other_pids, self.stored.storage.engine))
            self._asking = Asking(self.stored, Runtime(device_named("auto"), default_data_dir(), threads=own))
        trial = self._asking.ask()
        self._leave()
        return trial

    def tell(
        self,
        trial: "AskedTrial",
        result: "Mapping[str, float] | Sequence[Mapping[str, float]] | Pruned | Diverged | None" = None,
        *,
        error: BaseException | str | None = None,
    ) -> None:
        """Record how a trial ended.

        Args:
            trial: from `ask`.
            result: its final metrics, the study's metric among them; with replicates a list, the metrics of each of
                `trial.config.seeds`. If the study's metric is NaN or infinite, the trial has diverged. What
                `trial.report` raises, `Pruned` or `Diverged`, is a result as well.
            error: why the trial failed, in place of a result. It is run again, at most `max_retries` times.

        Raises:
            BatchlawError: not exactly one of result and error was given, or there are not as many results as seeds.
            ObjectiveError: the study's metric is not among the metrics.
            StudyError: the trial has a result already, or was given to another worker because its lease ran out.
        """
        told = result if error is None else error
        if told is None or (result is not None and error is not None):
            raise BatchlawError("must be given, or else an error", argument="result", got=result)
        if self._asking is None:
            raise StudyError(f"study {self.name!r} waits for no result of {trial!r}")
        self._asking.tell(trial, told)
        self._leave()

    def _leave(self) -> None:
        """Be no worker of a stopped study any more. A later `ask` begins anew."""
        if self._asking is not None and self._asking.left:
            self._asking.close()
            self._asking = None


def url_of(storage: str | None) -> str:
    """The URL of the database that is meant."""
    return storage or os.environ.get("BATCHLAW_STORAGE") or DEFAULT_URL
