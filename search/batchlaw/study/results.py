"""What a study has found, from Python."""

import contextlib
import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import BatchlawError, StudyError, WorkFailed, check_whole
from batchlaw.study.files import StrPath, path_of, write_text
from batchlaw.study.threads import check_threads, threads_kept

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from batchlaw.claims.claim import Claim
    from batchlaw.laws.critical import Critical
    from batchlaw.laws.law import Law
    from batchlaw.laws.recommendation import Recommendation
    from batchlaw.laws.transfer import Transfer
    from batchlaw.measure.replay import Comparison
    from batchlaw.results.details import TrialDetails
    from batchlaw.results.ranking import Ranking
    from batchlaw.results.records import TrialRecord
    from batchlaw.results.status import StudyStatus
    from batchlaw.results.verification import Verification
    from batchlaw.spec import StudySpec
    from batchlaw.storage import StoredStudy
    from batchlaw.study.code import Code


_TOLD = 3  # parts of a verdict at the end of a run: what was claimed, and how the statistic decides; claim tells all


class StudyResults:
    """The reading side of a `Study`."""

    def __init__(self, stored: "StoredStudy", storage: str, code: "Code") -> None:
        self.stored, self._url, self._code = stored, storage, code

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.stored.spec.name

    @property
    def spec(self) -> "StudySpec":
        """The study as its file describes it, with every default."""
        return self.stored.spec

    @property
    def storage(self) -> str:
        """URL of the database, without its password."""
        from batchlaw.storage import redacted

        return redacted(self._url)

    def trials(self) -> "pd.DataFrame":
        """A table with a row for each trial, ordered by number.

        Columns: number; outcome; value, the mean of the metric over the seeds; each hyperparameter, as the trial used
        it, and each parameter of your own; peak_lr, the learning rate after warmup and before decay; warmup_steps and
        steps, in optimizer updates; examples that the trial sees; seconds; device; started and ended, in local time;
        reason of the outcome; tags, with blanks between them. Values that a trial does not have are missing.
        """
        from batchlaw.results.frame import frame_of
        from batchlaw.storage import tags_of

        return frame_of(self._records(), self.spec.parameters, tags_of(self.stored))

    def tag(self, number: int, *tags: str, remove: bool = False) -> list[str]:
        """Put words on a trial, or take them off; they stand in the table of trials.

        Args:
            number: of the trial.
            tags: words without blanks. With `remove` and none, all are taken off.
            remove: take them off.

        Returns:
            All tags of the trial.

        Raises:
            StudyError: there is no trial of that number.
            BatchlawError: a tag is empty, has blanks or more than 50 characters.
        """
        from batchlaw.storage import set_tags, tags_of

        self.show(number)
        for tag in tags:
            if not 0 < len(tag) <= 50 or not tag.isprintable() or " " in tag:
                raise BatchlawError("must have 1 to 50 characters and no blanks", argument="tag", got=tag)
        known = tags_of(self.stored).get(number, [])
        gone = set(tags or known) if remove else set()
        kept = [tag for tag in dict.fromkeys([*known, *tags]) if tag not in gone]
        if kept != known:
            set_tags(self.stored, number, kept)
        return kept

    def best(self, n: int = 5) -> "Ranking":
        """The best n completed trials, best first, with standard errors and whether they are tied with the best.

        The best of many trials looks better than it is, because it was selected. `export(verify=5)` trains it on fresh
        seeds and scores it on test data.
        """
        from batchlaw.results.ranking import ranking

        check_whole(n, "n", at_least=1)
        return ranking(self._records(), self.spec, n)

    def front(self) -> "Ranking":
        """For each attained score the fastest configuration that cannot be told from it, the fastest first.

        A search whose metric is `["validation_accuracy", "seconds"]`, say, looks for these; of others it is what they
        found by the way. Scores of the search are flattered by their selection; those on fresh seeds, where the race
        was among them, are not.
        """
        from batchlaw.results.columns import columns_of
        from batchlaw.results.front import front_of
        from batchlaw.results.ranking import Ranking
        from batchlaw.results.standings import Standings

        found = front_of(Standings(self.spec, self._records()))
        return Ranking(
            self.name, self.spec.arm.metric, found, columns_of(self.spec), "Fastest configurations for their score"
        )

    def answer(self) -> list[str]:
        """Lines on what was found: what to use after a search, or the verdicts of a designed study that has ended.

        After a search they tell how good it is and what is undecided. None without a complete trial.
        """
        if self.spec.claim is not None:
            from batchlaw.claims.summary import summary_of

            if not self.stored.slots.counts().ended:
                return []
            try:
                told = [(verdict, text.split("; ")[:_TOLD]) for verdict, text in summary_of(self.claim().blocks)]
            except BatchlawError as error:  # cells without a result, or a code that ignores its seed
                return [f"No verdict: {error}"]
            return [f"{verdict}: {'; '.join(parts)}" for verdict, parts in told]
        from batchlaw.results.answer import Answer
        from batchlaw.results.standings import Standings

        found = Answer.of(Standings(self.spec, self._records()))
        return found.lines() if found else []

    def claim(self, hypothesis: str | None = None, *, bootstrap_seed: int = 0, horizon: float | None = None) -> "Claim":
        """Judge the hypotheses of a designed study; see `batchlaw.Claim`.

        If no worker has drawn the study's page on the dashboard yet, it is drawn with the verdicts.

        Args:
            hypothesis: one to judge in place of the study's own, such as "H6".
            bootstrap_seed: of the bootstraps over seeds that H5, H13, H17 and H25 are judged by.
            horizon: the share of the budget at which the runs are judged, one of `schedule.horizons`; None: the whole.

        Raises:
            StudyError: the study was searched, or has cells without a result.
            SpecError: the hypothesis needs levels that the study does not have.
            BatchlawError: there is no such hypothesis, or the study has no such horizon.
        """
        from batchlaw.claims.study_claim import claim_of_study
        from batchlaw.dashboard.refresh import refresh

        check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)
        found = claim_of_study(self.stored, hypothesis, bootstrap_seed=bootstrap_seed, horizon=horizon)
        if hypothesis is None and horizon is None:
            refresh(self.stored, self.stored.slots.counts().total, list(found.blocks))
        return found

    def law(self, *, bootstrap_seed: int = 0, horizon: float | None = None) -> "Law":
        """How the best learning rate moves with the batch size; see `batchlaw.Law`.

        It is the law of the optimizer with the best trial; `strata` has all of them. Of a searched study it is a guide.

        Args:
            bootstrap_seed: of the bootstraps.
            horizon: the share of the budget at which the runs are read, one of `schedule.horizons`; None: the whole.

        Raises:
            StudyError: cells of a designed study have no result, or it has too few learning rates or batch sizes.
            BatchlawError: the study has no such horizon.
        """
        from batchlaw.laws.studies import law_of_study

        check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)
        return law_of_study(self.stored, bootstrap_seed=bootstrap_seed, horizon=horizon)

    def critical(self) -> "Critical":
        """The critical batch size of a designed study with H20: by steps to targets, bend of the law and noise scale.

        Branches of a trunk are a further way; the command `batchlaw critical STUDY.toml` trains them.

        Raises:
            StudyError: the study was searched, cells have no result, or losses were not recorded at the reports.
        """
        from batchlaw.laws.critical_study import critical_of_study

        return critical_of_study(self.stored)

    def transfer(
        self,
        *,
        reference_batch_size: int | None = None,
        bootstrap_seed: int = 0,
        train: bool = False,
        device: str = "auto",
        threads: int | None = None,
        data_dir: StrPath | None = None,
        tick: Callable[[int, int], None] = lambda done, total: None,
    ) -> "Transfer":
        """What each scaling rule costs on the runs of a designed study; see `batchlaw.Transfer`.

        Args:
            reference_batch_size: whose tuned learning rate is moved to the others, in examples; None takes the study's.
            bootstrap_seed: of the bootstraps.
            train: train at the learning rates of the rules, instead of interpolating between the runs. Code of the
                user's own trains one run for each seed, side by side on the cores or GPUs of this machine.
            device: where to train.
            threads: of the CPU; None takes OMP_NUM_THREADS, or else as many as make the training faster.
            data_dir: folder of the data sets.
            tick: called after each training, with the number of trainings done and that of all.

        Raises:
            StudyError: the study was searched, or has cells without a result.
            BatchlawError: the reference is none of its batch sizes.
            ObjectiveError: the user's own code cannot be found on this machine, or a run of it failed.
        """
        from batchlaw.laws.transfer import transfer_of_study

        check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)
        found = transfer_of_study(self.stored, reference_batch_size=reference_batch_size, bootstrap_seed=bootstrap_seed)
        if not train:
            return found
        from batchlaw.measure.transfer_training import trained
        from batchlaw.storage import spec_that_fits
        from batchlaw.study.pool import pool_of

        with threads_kept():
            runtime = self._code.runtime(
                self.spec, device, path_of(data_dir), threads=check_threads(threads), stored=self.stored
            )
            pool = pool_of(self._code, self.spec, device, threads)
            return trained(spec_that_fits(self.stored), found, runtime, pool, tick=tick)

    def show(self, number: int) -> "TrialDetails":
        """All that is stored of one trial; printed, it tells how the trial ended and why, its curve and its output.

        Raises:
            StudyError: there is no trial of that number.
        """
        from batchlaw.results.details import details_of

        try:
            return details_of(self.stored, number)
        except KeyError:
            raise StudyError(f"study {self.name!r} has no trial {number}") from None

    def recommend(self, *, seconds: float | None = None, devices: int = 1, on: str | None = None) -> "Recommendation":
        """The fastest configuration whose score is within one standard error of the best.

        Args:
            seconds: of training, at most; None sets no limit.
            devices: how many share every batch.
            on: part of the name of the device whose profile tells the times; None takes the latest profile, or the
                trials' own times where there is none.

        Raises:
            StudyError: no trial has finished.
            BatchlawError: there is no profile of such a device.
        """
        from batchlaw.laws.recommendation import recommendation_of_study

        return recommendation_of_study(self.stored, seconds=seconds, devices=devices, on=on)

    def status(self) -> "StudyStatus":
        """How far the study is and who works on it. Trials of dead workers are found, and will be run again."""
        from batchlaw.results.status import status_of
        from batchlaw.workers.recovery import reap

        found = status_of(self.stored, failures=1, gain=True)
        with contextlib.suppress(WorkFailed):  # a database that may only be read can still show its state
            if reap(self.stored):
                found = status_of(self.stored, failures=1, gain=True)
        return found

    def export(
        self,
        format: str = "table",
        path: StrPath | None = None,
        *,
        top: int = 1,
        per: str | None = None,
        trial: int | None = None,
        for_batch_size: int | None = None,
        rule: str = "law",
        extrapolate: bool = False,
        verify: int | None = None,
        device: str = "auto",
        threads: int | None = None,
        data_dir: StrPath | None = None,
        tick: Callable[[int, int], None] = lambda done, total: None,
    ) -> str:
        """The best configurations as text, with their errors, ties and provenance.

        Args:
            format: "table", "json", "yaml", "toml", "csv", "python", "lightning", "transformers", "timm", "wandb" or
                "optuna".
            path: a file that the text is written to as well.
            top: how many of the best configurations.
            per: a hyperparameter, such as "batch_size", or a parameter of your own; gives the best configuration of
                each of its values ("base_lr": of each half decade).
            trial: the number of a trial to export in place of the best.
            for_batch_size: a batch size that need not have been tried; the best configuration is moved to it. What
                makes the prediction weak is said in warnings.
            rule: what moves the learning rate there: the "law" of the study, "constant", "sqrt", "linear" or "sde".
            extrapolate: allow a batch size beyond those that were tried.
            verify: train the winner on this many fresh seeds, and score the test data of a built-in task once. Code of
                the user's own trains them side by side on the cores or GPUs of this machine.
            device: where to train for `verify`.
            threads: of the CPU there; None takes OMP_NUM_THREADS, or else as many as make the training faster.
            data_dir: folder of the data sets.
            tick: called after each training of `verify`, with the number of trainings done and that of all.

        Raises:
            BatchlawError: an argument is wrong, the format cannot express the configuration, or there is no law.
            StudyError: no trial has finished.
            WorkFailed: the winner diverged on fresh seeds.
            ObjectiveError: the user's own code cannot be found on this machine, or a run of it failed.
        """
        from batchlaw.study.exporting import Choice, export_text

        choice = Choice(
            format=format, top=top, per=per, trial=trial, for_batch_size=for_batch_size, rule=rule,
            extrapolate=extrapolate, verify=verify,
        )  # fmt: skip
        check_threads(threads)

        def verified(record: "TrialRecord", first: int) -> "Verification":
            from batchlaw.measure.verification import verify as verified_on_seeds
            from batchlaw.storage import spec_that_fits
            from batchlaw.study.pool import pool_of

            assert verify is not None
            runtime = self._code.runtime(self.spec, device, path_of(data_dir), threads=threads, stored=self.stored)
            pool = pool_of(self._code, self.spec, device, threads)
            spec = spec_that_fits(self.stored)
            return verified_on_seeds(record, spec, runtime, verify, pool, tick=tick, first=first)

        with threads_kept() if verify else contextlib.nullcontext():
            text, cautions = export_text(self.stored, choice, verified)
        for caution in cautions:
            warnings.warn(caution, stacklevel=2)
        if path is not None:
            write_text(path, text.rstrip("\n") + "\n")
        return text

    def replay(self, number: int, *, device: str = "auto", data_dir: StrPath | None = None) -> "Comparison":
        """Train a trial again and compare its scores; those of a built-in task are equal to the last bit on the CPU.

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
        from batchlaw.storage import spec_that_fits

        records = {record.number: record for record in self._records()}
        if number not in records:
            known = f"the trials 0 to {len(records) - 1}" if records else "no trials yet"
            raise BatchlawError(f"study {self.name!r} has {known}", argument="number", got=number)
        with threads_kept():  # the replay sets those that the trial had
            runtime = self._code.runtime(self.spec, device, path_of(data_dir), stored=self.stored)
            return replay(records[number], spec_that_fits(self.stored), runtime)

    def figure(self, name: str) -> "Figure":
        """A Plotly figure, such as "ridge", "law", "score-map" or "history".

        "ridge", the best batch size or learning rate at each level of the other, is a figure of designed studies. Of a
        search it is the figure "law", which shows the same points.

        Raises:
            BatchlawError: the study has no such figure; the message lists those that it has.
        """
        figures = self.figures()
        # The figures of a surface are named after what is given and the further factors: lr-ridge-optimizer-adam.
        of_surfaces = [known for known in figures if f"{known}-".partition("-")[2].startswith(f"{name}-")]
        for known in (name, *of_surfaces, *(["law"] if name == "ridge" else [])):
            if known in figures:
                return figures[known]
        raise BatchlawError(
            f"study {self.name!r} has {', '.join(figures) or 'no figures yet'}", argument="name", got=name
        )

    def figures(self) -> "dict[str, Figure]":
        """Every figure that the study has data for, by its name."""
        from batchlaw.figures.accounts import account_of
        from batchlaw.figures.gallery import gallery

        account = account_of(self.stored)
        return gallery(self.spec, account.records, account.judged, account.laws)

    def report(self, path: StrPath, *, png: StrPath | None = None, svg: StrPath | None = None) -> Path:
        """Write one HTML file, which needs no network: what was run, what was found and what it cost.

        Args:
            path: of the HTML file.
            png: a folder to write every figure to as PNG.
            svg: a folder to write every figure to as SVG.

        Raises:
            BatchlawError: a file cannot be written, or images cannot be drawn on this machine.
        """
        from batchlaw.study.reporting import write_report

        return write_report([self.stored], Path(path), png=path_of(png), svg=path_of(svg)).page

    def _records(self) -> "list[TrialRecord]":
        from batchlaw.results.records import records_of
        from batchlaw.storage import with_retries

        return with_retries(lambda: records_of(self.stored))

    def __len__(self) -> int:
        from batchlaw.results.records import briefs_of

        return len(briefs_of(self.stored))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        facts = " · ".join(map(escape, self._facts()))
        return f"<p><b>{escape(self.name)}</b>: {escape(self.spec.purpose)}<br>{facts}</p>" + self.best()._repr_html_()

    def _facts(self) -> list[str]:
        counts = self.stored.slots.counts()
        budget = f"{counts.done} trials" if counts.open_ended else f"{counts.done} of {counts.total} trials"
        return [budget, f"{self.spec.direction} {self.spec.arm.metric}"]
