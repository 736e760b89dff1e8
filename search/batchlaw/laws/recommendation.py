"""The fastest configuration that is as good as the best, by one standard error, for a time or a number of devices."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batchlaw.errors import BatchlawError, StudyError
from batchlaw.laws.law import Law
from batchlaw.laws.studies import known_laws
from batchlaw.recipe.schedule import schedule_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.interval import Interval
from batchlaw.results.notebook import notebook_html
from batchlaw.results.records import TrialRecord, known_trials
from batchlaw.results.standings import Standings
from batchlaw.results.step_time import Profile, profile_of_study
from batchlaw.spec import StudySpec, TrainConfig

if TYPE_CHECKING:
    import pandas as pd

    from batchlaw.storage import StoredStudy


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The best configuration of one optimizer at one batch size, with its score and its time."""

    configuration: Configuration
    value: float  # the score at the end, or when the time is up
    progress: float  # share of the budget by then; 1 where the whole training fits
    seconds: float  # of training until then
    within: bool  # whether the score is within one standard error of the best
    on_front: bool  # whether no other is both faster and better
    lr_by_law: Interval | None
    devices_deserved: int | None  # of the numbers of devices that were measured; None where it was one

    @property
    def config(self) -> TrainConfig:
        """Of the trial."""
        return self.configuration.config

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "trial": self.configuration.trial,
            "optimizer": self.config.optimizer,
            "batch_size": self.config.batch_size,
            "peak_lr": self.config.peak_lr,
            "lr_by_law": asdict(self.lr_by_law) if self.lr_by_law else None,
            "value": self.value,
            "standard_error": self.configuration.score_error,
            "progress": self.progress,
            "seconds": self.seconds,
            "within_one_standard_error": self.within,
            "on_front": self.on_front,
            "devices_deserved": self.devices_deserved,
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Recommendation:
    """The fastest configuration that is as good as the best, by one standard error, among the candidates."""

    study: str
    metric: str
    candidates: tuple[Candidate, ...]  # the fastest first
    chosen: Candidate  # the one to take
    best: Candidate
    clock: str  # where the seconds come from
    devices: int
    left_out: tuple[str, ...]  # candidates whose time is not known, and why

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.study,
            "metric": self.metric,
            "clock": self.clock,
            "devices": self.devices,
            "chosen": self.chosen.as_dict(),
            "best": self.best.as_dict(),
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "left_out": list(self.left_out),
        }

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each candidate, the fastest first, with its trial, configuration, seconds and score (value)."""
        import pandas as pd  # which a search does without

        rows = [candidate.as_dict() for candidate in self.candidates]
        return pd.DataFrame([{name: row[name] for name in row if name != "lr_by_law"} for row in rows])

    def __repr__(self) -> str:
        return "\n  ".join([self._heading, *self._lines])

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, self._lines, self.table)

    @property
    def _heading(self) -> str:
        config = self.chosen.config
        return (
            f"Recommendation of {self.study}: {config.optimizer}, batch size {config.batch_size}, peak learning rate "
            f"{config.peak_lr:.3g}, trial {self.chosen.configuration.trial}"
        )

    @property
    def _lines(self) -> list[str]:
        chosen, best = self.chosen, self.best
        lines = [
            f"{self.metric} {chosen.value:.4g} in {chosen.seconds:.3g} s, by {self.clock}",
            f"the best: {best.value:.4g} in {best.seconds:.3g} s at batch size {best.config.batch_size}",
        ]
        if chosen.lr_by_law:
            lines.append(f"the law puts the best learning rate there at {chosen.lr_by_law}")
        if chosen.devices_deserved:
            lines.append(f"devices that its batch size deserves: {chosen.devices_deserved}")
        return lines + [f"left out: {line}" for line in self.left_out]


def recommendation_of_study(
    stored: "StoredStudy", *, seconds: float | None = None, devices: int = 1, on: str | None = None
) -> Recommendation:
    """The fastest configuration of a study that is as good as its best.

    Args:
        stored: the study.
        seconds: of training, at most; None sets no limit.
        devices: that share every batch.
        on: part of the name of the device whose profile tells the times; None takes the latest profile, or the trials'
            own times where there is none.

    Raises:
        StudyError: no trial has finished.
        BatchlawError: no profile is of such a device; or see `recommend`.
    """
    spec, known = stored.spec, known_trials(stored)
    laws = known_laws(spec, known.records, ended=known.ended)
    return recommend(spec, known.records, laws, profile_of_study(stored, on), seconds=seconds, devices=devices)


def recommend(
    spec: StudySpec,
    records: Sequence[TrialRecord],
    laws: Sequence[Law],
    profile: Profile | None,
    *,
    seconds: float | None = None,
    devices: int = 1,
) -> Recommendation:
    """Weigh the score of each batch size against the time it takes.

    Several devices take equal shares of every batch. Where the profile has not measured so many, exchanging gradients
    is taken to cost nothing, so that times are lower bounds. With a time limit, a candidate that takes longer counts
    with the score it had reported by then; where its learning rate decays, training planned for that time may do
    better.

    Args:
        spec: the study.
        records: its trials.
        laws: of its strata.
        profile: the time of steps on a device; None takes the times of the trials.
        seconds: to train for, at most.
        devices: how many share a batch.

    Raises:
        StudyError: no trial has finished.
        BatchlawError: several devices without a profile, no candidate whose time is known, or none that has reported
            by then.
    """
    if devices > 1 and profile is None:
        raise BatchlawError(
            "sharing steps among devices needs a profile of the study",
            argument="devices",
            got=devices,
            remedy="profile",
        )
    spec.require("a recommendation", "batch_size", "base_lr")
    standings = Standings(spec, records)
    ordered = standings.order
    if not ordered:
        raise StudyError(f"study {spec.name!r} has no finished trial yet")
    bests: dict[tuple[str, int], TrialRecord] = {}
    for record in ordered:
        bests.setdefault((record.known_config.optimizer, record.known_config.batch_size), record)
    timed, left_out = _timed(spec, list(bests.values()), standings, profile, seconds=seconds, devices=devices)
    if not timed:
        if seconds is not None:
            raise BatchlawError(f"none of {len(bests)} candidates reports by then", argument="seconds", got=seconds)
        raise BatchlawError(f"no time is known of any of {len(bests)} candidates", remedy="profile")
    sign = 1 if spec.direction == "maximize" else -1
    best = max(timed, key=lambda run: sign * run.value)
    threshold = sign * best.value - (best.configuration.score_error or 0.0)
    candidates, so_far = [], -float("inf")
    for run in sorted(timed, key=lambda run: (run.seconds, -sign * run.value)):
        candidates.append(
            Candidate(
                configuration=run.configuration, value=run.value, progress=run.progress, seconds=run.seconds,
                within=sign * run.value >= threshold, on_front=sign * run.value > so_far,
                lr_by_law=_by_law(laws, run.configuration), devices_deserved=_deserved(run.configuration, profile),
            )
        )  # fmt: skip
        so_far = max(so_far, sign * run.value)
    clock = "the trials' own clocks" if profile is None else f"a profile {profile.where()}"
    if profile is not None and devices > 1:
        bound = "" if devices in profile.devices else " by its steps on one, if sharing costs nothing"
        clock = f"{clock}, of {devices} devices that share every batch{bound}"
    return Recommendation(
        study=spec.name,
        metric=spec.arm.metric,
        candidates=tuple(candidates),
        chosen=next(candidate for candidate in candidates if candidate.within),
        best=next(candidate for candidate in candidates if candidate.configuration is best.configuration),
        clock=clock,
        devices=devices,
        left_out=tuple(left_out),
    )


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """A configuration with its score after so many seconds, and the share of its budget that it has used by then."""

    configuration: Configuration
    value: float
    progress: float
    seconds: float


def _timed(
    spec: StudySpec, chosen: list[TrialRecord], standings: Standings, profile: Profile | None, *, seconds: float | None,
    devices: int,
) -> tuple[list[_Timed], list[str]]:  # fmt: skip
    """The candidates whose time is known and that have a score by then; and why the time of others is not known."""
    timed, unknown = [], []
    for record, configuration in zip(chosen, standings.configurations(chosen), strict=True):
        try:
            whole = _seconds(record, configuration.config, profile, devices)
        except BatchlawError as error:
            unknown.append(f"{configuration.config.optimizer} at {configuration.config.batch_size}: {error}")
            continue
        share = 1.0 if seconds is None else min(seconds / whole, 1.0)
        value = configuration.score if share >= 1 else _value_at(record, spec.arm.metric, share)
        if value is not None:
            timed.append(
                _Timed(configuration=configuration, value=value, progress=share, seconds=min(whole, seconds or whole))
            )
    return timed, unknown


def _seconds(record: TrialRecord, config: TrainConfig, profile: Profile | None, devices: int) -> float:
    """Training time of one run of a configuration, without evaluation; a training function is timed as a whole."""
    if profile is None:
        taken = record.result.train_seconds or record.result.seconds
        if taken is None:
            raise BatchlawError("its trial recorded no time, and the study has no profile")
        return taken / max(len(config.seeds), 1)
    phases = schedule_of(config).phases
    if phases[0].batch_size < devices:
        raise BatchlawError(f"a batch of {phases[0].batch_size} does not share out among {devices} devices")
    share, n = (1, devices) if devices in profile.devices else (devices, 1)
    return sum(
        phase.steps * profile.seconds_a_step_at(phase.batch_size / share, config.optimizer, n) for phase in phases
    )


def _deserved(configuration: Configuration, profile: Profile | None) -> int | None:
    config = configuration.config
    return None if profile is None else profile.devices_deserved(config.batch_size, config.optimizer)


def _value_at(record: TrialRecord, metric: str, share: float) -> float | None:
    """The metric after a share of the budget, at the last report until then."""
    reached = [point.metrics[metric] for point in record.result.curve if point.progress <= share + 1e-9]
    return reached[-1] if reached else None


def _by_law(laws: Sequence[Law], configuration: Configuration) -> Interval | None:
    """The learning rate by the law of the configuration's stratum, where that was seen at its batch size."""
    for law in laws:
        if law.fitted and any(record.number == configuration.trial for record in law.records):
            low, high = law.fitted.seen
            batch_size = configuration.config.batch_size
            return law.predict(batch_size) if low <= batch_size <= high else None
    return None
