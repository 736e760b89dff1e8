"""`Study`: a study in a database, from Python."""

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchlaw.errors import BatchlawError, Diverged, Pruned, StudyError, WorkFailed
from batchlaw.study.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from batchlaw.claims.claim import Claim
    from batchlaw.measure.replay import Comparison
    from batchlaw.objectives.trial import TrainFunction
    from batchlaw.results.ranking import Ranking
    from batchlaw.results.records import TrialRecord
    from batchlaw.results.status import StudyStatus
    from batchlaw.results.verification import Verification
    from batchlaw.spec import StudySpec
    from batchlaw.storage import StoredStudy
    from batchlaw.study.progress import RunProgress, Shown
    from batchlaw.study.registration import Code
    from batchlaw.workers.asking import AskedTrial, Asking

DEFAULT_URL = "sqlite:///batchlaw.db"
_StrPath = str | os.PathLike[str]


class Study:
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
        self.stored, self._url, self._code = stored, storage, code
        self._asking: Asking | None = None

    @classmethod
    def create(
        cls,
        file: _StrPath | None = None,
        storage: str | None = None,
        *,
        name: str | None = None,
        question: str | None = None,
        objective: "str | TrainFunction | None" = None,
        command: list[str] | None = None,
        task: Mapping[str, Any] | None = None,
        train_size: int | None = None,
        budget: Mapping[str, Any] | None = None,
        space: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        claim: Mapping[str, Any] | None = None,
        metric: str | None = None,
        direction: Literal["maximize", "minimize"] | None = None,
        trials: int | None = None,
        replicates: int | None = None,
        sampler: str | None = None,
        pruner: str | None = None,
        seed: int | None = None,
        epochs: float | None = None,
        steps: int | None = None,
        examples: int | None = None,
        data_dir: _StrPath | None = None,
        download: bool = False,
    ) -> "Study":
        """Register a study from a study file or from keywords; a study that is stored already is opened.

        Every table of a study file is a keyword. In `space` a number or a name fixes a hyperparameter, a list is a
        choice, and a tuple `(low, high)` is a range on the scale of its hyperparameter: logarithmic for `base_lr` and
        `weight_decay`, powers of two for a `batch_size` between two of them, else linear.

        >>> study = bl.Study.create(name="mine", metric="val_loss", direction="minimize", trials=20, train_size=50_000,
        ...                         epochs=10, space={"batch_size": (16, 256), "base_lr": (1e-4, 1.0)})
        >>> study
        Study('mine', 0 of 20 trials, minimize val_loss)

        Args:
            file: a study file. Beside it, only `name` (a new study from the changed file), `trials` (a budget in place
                of the file's) and `objective` (the function that the file names) may be given.
            storage: URL of the database; None is the environment's `BATCHLAW_STORAGE`, else `sqlite:///batchlaw.db`.
            name: of the study.
            question: that it answers; there is a default.
            objective: your training function, which gets a `Trial` and returns its final metrics; or
                "module:function". Without `objective`, `task` and `command`, trials are asked for and told.
            command: a program and its arguments, with hyperparameters in braces.
            task: a built-in data set and network.
            train_size: training examples in an epoch, of your own training.
            budget: how long a trial trains; `epochs`, `steps` and `examples` are short for it.
            space: what is searched.
            schedule: facts of the learning rate's decay.
            search: the adaptive arm; `metric`, `direction`, `trials`, `replicates`, `sampler`, `pruner` and `seed` are
                short for it.
            claim: the designed arm, in place of `search`; `metric`, `direction`, `replicates` and `seed` are short for
                it.
            metric: name of the score among the metrics.
            direction: "maximize" or "minimize".
            trials: budget of trials.
            replicates: seeds of each trial.
            sampler: see `search`.
            pruner: see `search`.
            seed: of the study.
            epochs: passes over the training examples.
            steps: optimizer updates.
            examples: training examples seen.
            data_dir: folder of the data sets of a task.
            download: whether to download a data set that is missing.

        Raises:
            SpecError: a value is wrong; the message names field, value and bound.
            ObjectiveError: the training function cannot be found.
            DataError: the data set is missing.
            StorageError: the database cannot be used.
            StudyError: the name is taken by a study with another specification.
        """
        from batchlaw.study.registration import code_of, register_study, spec_of

        path = None if file is None else Path(file)
        keywords = {
            "name": name, "question": question, "objective": objective, "command": command, "task": task,
            "train_size": train_size, "budget": budget, "space": space, "schedule": schedule, "search": search,
            "claim": claim, "metric": metric, "direction": direction, "trials": trials, "replicates": replicates,
            "sampler": sampler, "pruner": pruner, "seed": seed, "epochs": epochs, "steps": steps, "examples": examples,
        }  # fmt: skip
        spec, code, url = spec_of(path, keywords), code_of(objective, path), _url(storage)
        stored = register_study(
            spec, code, url, trials=None if path is None else trials, data_dir=_path(data_dir), download=download
        )
        return cls(stored, url, code)

    @classmethod
    def open(
        cls,
        name: str,
        storage: str | None = None,
        *,
        file: _StrPath | None = None,
        objective: "TrainFunction | None" = None,
    ) -> "Study":
        """Find a study by its name.

        Args:
            name: of the study.
            storage: as for `create`.
            file: the study's file, beside which its own code lies. Code is run from this machine only, never from the
                database; without `file` and `objective` such a study can be read, and not run.
            objective: the training function that the study names.

        Raises:
            StorageError: the database cannot be used.
            StudyError: it holds no study of this name, or another than the file's.
            SpecError: the study names another function.
        """
        from batchlaw.storage import load, open_storage
        from batchlaw.study.registration import code_for

        url = _url(storage)
        stored = load(open_storage(url), name)
        return cls(stored, url, code_for(stored.spec, _path(file), objective))

    @property
    def name(self) -> str:
        """Of the study."""
        return self.stored.spec.name

    @property
    def spec(self) -> "StudySpec":
        """What the study file says, with every default."""
        return self.stored.spec

    @property
    def storage(self) -> str:
        """URL of the database, without its password."""
        from batchlaw.storage import redacted

        return redacted(self._url)

    def run(
        self,
        workers: int | None = None,
        *,
        progress: "Shown | RunProgress" = True,
        trials: int | None = None,
        timeout: float | None = None,
        seed: int | None = None,
        device: str = "auto",
        data_dir: _StrPath | None = None,
    ) -> "Study":
        """Run trials until the budget is spent, and return the study.

        Args:
            workers: processes of this machine; 0 runs in this process. None starts one for each GPU, else one for each
                core, and runs a function that other processes cannot import, such as one of a notebook, in this one.
            progress: whether to show it: live on a terminal, as a bar in a notebook, else in lines on standard error;
                "plain" always shows lines.
            trials: a budget of trials in place of the study's, which is extended or cut by it.
            timeout: seconds after which no trial starts, in place of the study's `study_seconds`.
            seed: in place of the study's; a designed study has its own.
            device: "auto", "cpu", or an accelerator of PyTorch's such as "cuda".
            data_dir: folder of the data sets.

        Raises:
            BatchlawError: an argument is wrong.
            ObjectiveError: the training function cannot be found on this machine, or by worker processes.
            WorkFailed: the workers ended with trials left, or every trial failed.
            KeyboardInterrupt: the run was interrupted; trials in progress were handed back, and `run` goes on.
        """
        from batchlaw.study.running import Options, run_study

        options = Options(device=device, seed=seed, timeout=timeout, trials=trials, data_dir=_path(data_dir))
        run_study(self.stored, self._url, self._code, options, workers=workers, progress=progress)
        return self

    def ask(self) -> "AskedTrial | None":
        """A trial to train in a loop of your own; None once the budget of the study is spent.

        Other workers and loops can share the study. What they train at the moment is waited for, since it may have to
        be trained again. A trial is yours until you tell its result, drop it or end the process.

        >>> while trial := study.ask():
        ...     try:
        ...         result = train(trial)  # calls trial.report now and then
        ...     except (bl.Pruned, bl.Diverged) as ending:
        ...         result = ending
        ...     study.tell(trial, result)

        Raises:
            StudyError: all trials that are left were asked for here, and none was told.
            WorkFailed: the database is out of reach.
        """
        if self._asking is None:
            from batchlaw.objectives.runtime import Runtime
            from batchlaw.train.data import default_data_dir
            from batchlaw.train.device import device_named
            from batchlaw.workers.asking import Asking

            self._asking = Asking(self.stored, Runtime(device_named("auto"), default_data_dir()))
        return self._asking.ask()

    def tell(
        self,
        trial: "AskedTrial",
        result: "Mapping[str, float] | Sequence[Mapping[str, float]] | Pruned | Diverged | None" = None,
        *,
        error: BaseException | str | None = None,
    ) -> None:
        """Record how a trial ended that was asked for.

        Args:
            trial: from `ask`.
            result: its final metrics, among them the study's; with replicates a list of them, one for each of
                `trial.config.seeds`. A metric that is not finite, or `Diverged`, is a divergence. `Pruned` is what
                `trial.report` raised.
            error: why it failed, in place of a result. It is run again, at most `max_retries` times.

        Raises:
            BatchlawError: neither or both of result and error were given, or the result is not one for each seed.
            ObjectiveError: the study's metric is not among the metrics.
            StudyError: the trial has a result already, or was given to another worker because its lease ran out.
        """
        told = result if error is None else error
        if told is None or (result is not None and error is not None):
            raise BatchlawError("must be given, or else an error", argument="result", got=result)
        if self._asking is None:
            raise StudyError(f"study {self.name!r} waits for no result of {trial!r}")
        self._asking.tell(trial, told)

    def trials(self) -> "pd.DataFrame":
        """A row a trial, by number: its outcome, value and hyperparameters, as used.

        Columns: number, outcome, value (mean of the metric over the seeds), the hyperparameters, peak_lr (after warmup,
        before decay), warmup_steps, steps (optimizer updates), examples, seconds, device, started and ended (local
        time), reason (of an outcome other than complete). What a trial did not come to is missing.
        """
        from batchlaw.results.frame import frame_of

        return frame_of(self._records())

    def best(self, n: int = 5) -> "Ranking":
        """The best completed trials, the best first, with their errors and whether they are tied with the best.

        The best of many is flattered by its selection: `export(verify=5)` scores it on fresh seeds and test data.
        """
        from batchlaw.results.ranking import ranking

        return ranking(self._records(), self.spec, n)

    def claim(self, hypothesis: str | None = None, *, bootstrap_seed: int = 0) -> "Claim":
        """Judge the hypotheses of a designed study; see `batchlaw.Claim`.

        Args:
            hypothesis: one to judge in place of the study's own, such as "H6".
            bootstrap_seed: of the bootstraps over seeds.

        Raises:
            StudyError: the study was searched, or has cells without a result.
            SpecError: the hypothesis needs levels that the study does not have.
            BatchlawError: there is no such hypothesis.
        """
        from batchlaw.claims.claim import claim_of_study

        return claim_of_study(self.stored, hypothesis, bootstrap_seed=bootstrap_seed)

    def status(self) -> "StudyStatus":
        """Where the study stands and who works on it; what dead workers left is cleared up."""
        from batchlaw.results.status import status_of
        from batchlaw.workers.recovery import reap

        with contextlib.suppress(WorkFailed):  # a database that may only be read shows its state all the same
            reap(self.stored)
        return status_of(self.stored)

    def export(
        self,
        format: str = "table",
        path: _StrPath | None = None,
        *,
        top: int = 1,
        per: str | None = None,
        trial: int | None = None,
        for_batch_size: int | None = None,
        rule: str = "law",
        extrapolate: bool = False,
        verify: int | None = None,
        device: str = "auto",
        data_dir: _StrPath | None = None,
    ) -> str:
        """The best configurations as text, with their errors, ties and provenance.

        Args:
            format: table, json, yaml, toml, csv, python, lightning, transformers, timm, wandb or optuna.
            path: a file to write the text to as well.
            top: how many of the best.
            per: the best of each "batch_size", "base_lr" (by half decades), "optimizer" or "scaling_rule" instead.
            trial: the number of a trial in place of the best.
            for_batch_size: the best, moved to a batch size that need not have been tried.
            rule: how the learning rate is moved there: by the "law" of the study, or "constant", "sqrt", "linear",
                "sde". Cautions are given as warnings.
            extrapolate: allow a batch size beyond those that were seen.
            verify: train the winner on so many fresh seeds, and score the test data once.
            device: where to train for that.
            data_dir: folder of the data sets.

        Raises:
            BatchlawError: an argument is wrong, the format cannot express the configuration, or there is no law.
            StudyError: no trial has finished.
            WorkFailed: every fresh seed diverged.
        """
        from batchlaw.study.exporting import Choice, export_text

        choice = Choice(
            format=format, top=top, per=per, trial=trial, for_batch_size=for_batch_size, rule=rule,
            extrapolate=extrapolate, verify=verify,
        )  # fmt: skip

        def verified(record: "TrialRecord") -> "Verification":
            from batchlaw.measure.replay import verify as train_again

            assert verify is not None
            try:
                return train_again(record, self.spec, self._code.runtime(self.spec, device, _path(data_dir)), verify)
            except Diverged:
                raise WorkFailed(f"trial {record.number} diverged on all of {verify} fresh seeds") from None

        text, cautions = export_text(self.stored, choice, verified)
        for caution in cautions:
            warnings.warn(caution, stacklevel=2)
        if path is not None:
            write_text(path, text.rstrip("\n") + "\n")
        return text

    def replay(self, number: int, *, device: str = "auto", data_dir: _StrPath | None = None) -> "Comparison":
        """Train a trial again from what is stored of it, and compare; a built-in task is equal to the bit on the CPU.

        Args:
            number: of a complete, pruned or diverged trial.
            device: where to train.
            data_dir: folder of the data sets.

        Raises:
            BatchlawError: there is no such trial.
            StudyError: the trial cannot be replayed.
            ObjectiveError: the study's own code cannot be found on this machine.
        """
        from batchlaw.measure.replay import replay

        records = {record.number: record for record in self._records()}
        if number not in records:
            raise BatchlawError(
                f"study {self.name!r} has the trials 0 to {len(records) - 1}", argument="number", got=number
            )
        return replay(records[number], self.spec, self._code.runtime(self.spec, device, _path(data_dir)))

    def figure(self, name: str) -> "Figure":
        """A Plotly figure by its name, such as "ridge", "law", "score-map" or "history".

        "ridge" is the first ridge of a designed study, and of a search the law, whose points are its ridge.

        Raises:
            BatchlawError: the study has no such figure; the message lists those that it has.
        """
        figures = self.figures()
        wanted = [name, *(known for known in figures if f"-{name}-" in f"-{known}-")]
        if name == "ridge" and self.spec.claim is None:
            wanted.append("law")
        for known in wanted:
            if known in figures:
                return figures[known]
        raise BatchlawError(
            f"study {self.name!r} has {', '.join(figures) or 'no figures yet'}", argument="figure", got=name
        )

    def figures(self) -> "dict[str, Figure]":
        """Every figure that the study has data for, by its name."""
        from batchlaw.figures.accounts import account_of
        from batchlaw.figures.gallery import gallery

        account = account_of(self.stored)
        return gallery(self.spec, account.records, account.judged, account.laws)

    def report(self, path: _StrPath, *, png: _StrPath | None = None, svg: _StrPath | None = None) -> Path:
        """Write one HTML file, which needs no network: what was run, what was found and what it cost.

        Args:
            path: of the HTML file.
            png: a folder to write every figure to as PNG.
            svg: a folder to write every figure to as SVG.

        Raises:
            BatchlawError: a file cannot be written, or images cannot be drawn on this machine.
        """
        from batchlaw.study.reporting import write_report

        return write_report([self.stored], Path(path), png=_path(png), svg=_path(svg)).page

    def _records(self) -> "list[TrialRecord]":
        from batchlaw.results.records import records_of
        from batchlaw.storage import with_retries

        return with_retries(lambda: records_of(self.stored))

    def __len__(self) -> int:
        return len(self._records())

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        facts = " · ".join(map(escape, self._facts()))
        return f"<p><b>{escape(self.name)}</b>: {escape(self.spec.question)}<br>{facts}</p>" + self.best()._repr_html_()

    def _facts(self) -> list[str]:
        counts = self.stored.slots.counts()
        return [f"{counts.done} of {counts.total} trials", f"{self.spec.direction} {self.spec.arm.metric}"]


def _url(storage: str | None) -> str:
    return storage or os.environ.get("BATCHLAW_STORAGE") or DEFAULT_URL


def _path(given: _StrPath | None) -> Path | None:
    return None if given is None else Path(given)
