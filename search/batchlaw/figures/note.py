"""The Markdown note on a study's page: question, state, best trial, verdicts and further commands."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from batchlaw.claims.summary import summary_of
from batchlaw.export import usual_format
from batchlaw.results.status import StudyStatus, best_line, counts_line, pace_line

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block

_CLOSING = (
    "A database other than `batchlaw.db` is named by `--storage URL` or `BATCHLAW_STORAGE`. This note is written anew "
    "as the study goes on, until somebody edits it."
)


def note(
    status: StudyStatus,
    judged: "list[Block]",
    remarks: Sequence[str] = (),
    *,
    answer: Sequence[str] = (),
    has_law: bool,
    further: int,
) -> str:
    """The text of the note.

    Args:
        status: the state of the study.
        judged: the findings of a designed study that has ended.
        remarks: sentences on its runs.
        answer: lines on what to use, of a search that has ended.
        has_law: whether the command law has one to tell.
        further: the number of figures that do not fit on the page.
    """
    spec, going_on = status.spec, not status.slots.ended
    verdicts = [f"- **{verdict}**: {_plain(text)}" for verdict, text in summary_of(judged)]
    commands = [
        f"batchlaw status {spec.name}" + " --watch" * going_on,
        f"batchlaw export {spec.name} --format {usual_format(spec)}",
        f"batchlaw recommend {spec.name}",
        *([f"batchlaw law {spec.name}"] if has_law else []),
        f"batchlaw report {spec.name}",
        *([f"batchlaw claim {spec.name}"] if spec.claim else []),
    ]
    parts = [
        f"# {_plain(spec.purpose)}",
        counts_line(status) + f" · {status.slots.open} waiting" * going_on,
        "\n".join(_plain(line) + "  " for line in answer) or _plain(best_line(status)),
        _plain(pace_line(status)),
        *([f"{further} further figures are in the report."] if further else []),
        *(["## Verdicts", "\n".join(verdicts)] if verdicts else []),
        *(f"Note: {_plain(remark)}." for remark in remarks),
        "## Go on",
        "\n".join(f"    {command}" for command in commands),
        _CLOSING,
    ]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)
