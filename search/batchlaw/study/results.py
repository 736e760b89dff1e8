"""What a study has found, from Python."""

import contextlib
import warnings
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from batchlaw.errors import BatchlawError, Diverged, WorkFailed
from batchlaw.study.files import StrPath, path_of, write_text

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from batchlaw.claims.claim import Claim
    from batchlaw.laws.law import Law
    from batchlaw.laws.recommendation import Recommendation
    from batchlaw.laws.transfer import Transfer
    from batchlaw.measure.replay import Comparison
    from batchlaw.results.ranking import Ranking
    from batchlaw.results.records import TrialRecord
    from batchlaw.results.status import StudyStatus
    from batchlaw.results.verification import Verification
    from batchlaw.spec import StudySpec
    from batchlaw.storage import StoredStudy
    from batchlaw.study.registration import Code


class StudyResults:
    """The reading side of a `Study`."""

    def __init__(self, stored: "StoredStudy", storage: str, code: "Code") -> None:
        self.stored, self._url, self._code = stored, storage, code

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

    def law(self, *, bootstrap_seed: int = 0) -> "Law":
        """How the best learning rate moves with the batch size; see `batchlaw.Law`.

        It is the law of the optimizer with the best trial; `strata` has all of them. Of a searched study it is a guide.

        Args:
            bootstrap_seed: of the bootstraps.

        Raises:
            StudyError: cells of a designed study have no result, or it has too few learning rates or batch sizes.
        """
        from batchlaw.laws.studies import law_of_study

        return law_of_study(self.stored, bootstrap_seed=bootstrap_seed)

    def transfer(self, *, reference_batch_size: int | None = None, bootstrap_seed: int = 0) -> "Transfer":
        """What each scaling rule costs on the runs of a designed study; see `batchlaw.Transfer`.

        Args:
            reference_batch_size: whose tuned learning rate is moved to the others, in examples; None takes the study's.
            bootstrap_seed: of the bootstraps.

        Raises:
            StudyError: the study was searched, or has cells without a result.
            BatchlawError: the reference is none of its batch sizes.
        """
        from batchlaw.laws.transfer import transfer_of_study

        return transfer_of_study(self.stored, reference_batch_size=reference_batch_size, bootstrap_seed=bootstrap_seed)

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
        """Where the study stands and who works on it; what dead workers left is cleared up."""
        from batchlaw.results.status import status_of
        from batchlaw.workers.recovery import reap

        with contextlib.suppress(WorkFailed):  # a database that may only be read shows its state all the same
            reap(self.stored)
        return status_of(self.stored)

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
        data_dir: StrPath | None = None,
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
                return train_again(record, self.spec, self._code.runtime(self.spec, device, path_of(data_dir)), verify)
            except Diverged:
                raise WorkFailed(f"trial {record.number} diverged on all of {verify} fresh seeds") from None

        text, cautions = export_text(self.stored, choice, verified)
        for caution in cautions:
            warnings.warn(caution, stacklevel=2)
        if path is not None:
            write_text(path, text.rstrip("\n") + "\n")
        return text

    def replay(self, number: int, *, device: str = "auto", data_dir: StrPath | None = None) -> "Comparison":
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
        return replay(records[number], self.spec, self._code.runtime(self.spec, device, path_of(data_dir)))

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
