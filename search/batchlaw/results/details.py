"""All that is stored of one trial, for people."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchlaw.recipe.result import Outcome
from batchlaw.results.columns import columns_of, sentence_of
from batchlaw.results.records import TrialBrief, TrialRecord, record_at
from batchlaw.spec import StudySpec
from batchlaw.storage import StoredStudy, trials_of, with_retries
from batchlaw.storage.attributes import ARGUMENTS, OUTPUT, RETRY_OF, TRACEBACK

_SHOWN_LINES = 20  # of output
_SHOWN_REPORTS = 10


@dataclass(frozen=True, kw_only=True)
class TrialDetails:
    """One trial: its configuration, how it ended and why, its curve, and of a program its arguments and output."""

    spec: StudySpec
    record: TrialRecord
    repeats: int | None  # the number of the trial that it repeats
    arguments: list[str]  # of a program, as it was run
    output: list[str]  # its last lines
    traceback: str | None  # of an error

    def __str__(self) -> str:
        return "\n".join(self.lines())

    @property
    def command(self) -> str:
        """The arguments of a program as one line for a shell."""
        return shlex.join(self.arguments)

    def lines(self) -> list[str]:
        """For a terminal."""
        record, result, metric = self.record, self.record.result, self.spec.arm.metric
        value = "" if record.value is None else f", {metric} {record.value:.6g}"
        lines = [f"trial {record.number} of {self.spec.name}: {record.outcome}{value}"]
        if record.reason:
            lines.append(f"  why        {record.reason}")
        if self.repeats is not None:
            lines.append(f"  repeats    trial {self.repeats}")
        if record.confirms is not None:
            lines.append(f"  confirms   {record.confirms}")
        if record.config is not None:
            lines.append(f"  trained    {sentence_of(record.config, columns_of(self.spec))}")
        if result.micro_batch_size is not None and result.grad_accum_steps is not None:
            parts = f"{result.grad_accum_steps:,} part{'s' * (result.grad_accum_steps != 1)} of each batch"
            lines.append(f"  computed   {result.micro_batch_size:,} examples at once, in {parts}")
        if result.seconds is not None:
            lines.append(f"  took       {result.seconds:.1f} s")
        if self.arguments:
            lines.append(f"  command    {self.command}")
        every = -(-len(result.curve) // _SHOWN_REPORTS) or 1
        for point in [*result.curve[every - 1 :: every]]:
            told = ", ".join(f"{name} {number:.6g}" for name, number in point.metrics.items())
            lines.append(f"  at {point.progress:6.1%}  {told}")
        if self.output:
            left = len(self.output) - _SHOWN_LINES
            lines.append("  output" + (f" ({left} lines before; --json has them)" if left > 0 else ""))
            lines += [f"    {line}" for line in self.output[-_SHOWN_LINES:]]
        if self.traceback:
            lines += ["  traceback", *(f"    {line}" for line in self.traceback.splitlines())]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        record = self.record
        return {
            "study": self.spec.name, "trial": record.number, "outcome": record.outcome, "reason": record.reason,
            "repeats": self.repeats, "confirms": record.confirms and record.confirms._asdict(),
            "metric": self.spec.arm.metric, "value": record.value, "params": record.params,
            "config": record.config and record.config.model_dump(mode="json"), "seconds": record.result.seconds,
            "micro_batch_size": record.result.micro_batch_size, "grad_accum_steps": record.result.grad_accum_steps,
            "started": record.started and record.started.isoformat(),
            "ended": record.ended and record.ended.isoformat(), "arguments": self.arguments,
            "curve": [{"progress": point.progress, **point.metrics} for point in record.result.curve],
            "output": self.output, "traceback": self.traceback,
        }  # fmt: skip


def details_of(stored: StoredStudy, number: int) -> TrialDetails:
    """All that is stored of one trial.

    Raises:
        KeyError: there is none of that number.
    """
    record = with_retries(lambda: record_at(stored, number))
    attributes = with_retries(lambda: trials_of(stored.storage, stored.study_id, numbers=(number,)))[0].user_attrs
    return TrialDetails(
        spec=stored.spec,
        record=record,
        repeats=attributes.get(RETRY_OF),
        arguments=attributes.get(ARGUMENTS, []),
        output=attributes.get(OUTPUT, []),
        traceback=attributes.get(TRACEBACK),
    )


def examples_of(
    stored: StoredStudy, trials: Sequence[TrialBrief], best: TrialBrief | None, *, failures: int
) -> list[TrialDetails]:
    """Of a study of a program: its best trial, and the last ones that failed or ran out of memory.

    Args:
        stored: the study; with a task or a function there is nothing to show.
        trials: all of its trials.
        best: the best of them, if there is one.
        failures: the most failed trials; the latest come first.
    """
    if stored.spec.command is None:
        return []
    failed = [trial.number for trial in trials if trial.outcome in (Outcome.FAILED, Outcome.OUT_OF_MEMORY)]
    numbers = [*([] if best is None else [best.number]), *reversed(failed[-failures:])]
    return [details_of(stored, number) for number in numbers]
