"""The training curves of a trial as images and its output as text, made from what is stored; no file is kept."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import BinaryIO, Protocol

from jinja2 import Environment, StrictUndefined, Template
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial

from batchlaw.results.result import CurvePoint, TrialResult
from batchlaw.storage.attributes import OUTPUT, RESULT

# Okabe & Ito (2008), "Color universal design".
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH, _HEIGHT = 190.0, 116.0  # of the plot; the page shows a unit of the image at about 0.8 px (measured)
_WIDE = 10  # the largest over the smallest loss, above which the axis is logarithmic, as in the figures


class Recorded(Protocol):
    """A storage that gives trials as they are in the database."""

    def recorded(self, study_id: int, number: int) -> FrozenTrial:
        """A trial as it is in the database; KeyError where there is none."""
        ...


def artifacts_of(study_id: int, trial: int, curve: Sequence[CurvePoint], *, is_program: bool = False) -> dict[str, str]:
    """The system attributes by which optuna-dashboard finds the files of a trial.

    These are an image of its losses, one of each other metric, and after them the output of a program. The identifier
    of a file is the number of the study, of the trial and its own, in the characters that the dashboard's URLs allow.
    """
    files = [(name.replace("_", " ") + ".svg", "image/svg+xml") for name in _images(curve)]
    files += [("output.txt", "text/plain")] * is_program
    attributes = {}
    for number, (name, kind) in enumerate(files):
        identifier = f"{study_id:x}-{trial:x}-{number:x}"
        facts = {"artifact_id": identifier, "filename": name, "mimetype": kind}
        attributes[f"artifacts:{identifier}"] = json.dumps(facts)
    return attributes


class Curves:
    """A read-only artifact store, as Optuna defines them."""

    def __init__(self, trials: Recorded) -> None:
        self._trials = trials

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """An image of a trial, or its output.

        Raises:
            ArtifactNotFound: there is no such trial or file.
        """
        try:
            study_id, trial_number, number = (int(part, 16) for part in artifact_id.split("-"))
            trial = self._trials.recorded(study_id, trial_number)
            curve = TrialResult.from_record(trial.user_attrs.get(RESULT, {})).curve
            images = list(_images(curve).values())
            if number == len(images):
                return io.BytesIO("\n".join(trial.user_attrs[OUTPUT]).encode(errors="replace"))
            metrics = images[number]
        except (ValueError, KeyError, IndexError):
            raise ArtifactNotFound(artifact_id) from None
        return io.BytesIO(draw(curve, metrics).encode())

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Not supported: images are drawn from recorded reports."""
        raise NotImplementedError

    def remove(self, artifact_id: str) -> None:
        """Do nothing, since no file is kept; the dashboard calls this when a study is deleted."""


def _images(curve: Sequence[CurvePoint]) -> dict[str, list[str]]:
    """The images of a trial by name, with the metrics in each."""
    metrics = list(dict.fromkeys(name for point in curve for name in point.metrics))
    losses = [name for name in metrics if "loss" in name]
    return {name: [name] for name in metrics if name not in losses} | ({"loss": losses} if losses else {})


@dataclass(frozen=True)
class Mark:
    """A mark on an axis, at a distance from the corner of the plot."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One metric against the progress of a training run."""

    name: str
    color: str
    points: list[tuple[float, float]]


def draw(curve: Sequence[CurvePoint], metrics: Sequence[str]) -> str:
    """Metrics against progress, as SVG.

    Args:
        curve: the reports of a trial.
        metrics: those to draw; values that are not finite are left out.
    """
    known = {
        name: [
            (point.progress, point.metrics[name]) for point in curve if math.isfinite(point.metrics.get(name, math.nan))
        ]
        for name in metrics
    }
    values = [value for points in known.values() for _, value in points] or [0.0, 1.0]
    logarithmic = min(values) > 0 and max(values) > _WIDE * min(values) and "loss" in metrics[0]
    scale = math.log10 if logarithmic else float
    bottom, top = scale(min(values)), scale(max(values))
    room = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
    bottom, top = bottom - room, top + room

    def height(value: float) -> float:
        return _HEIGHT * (top - scale(value)) / (top - bottom)

    lines = [
        Line(name.replace("_", " "), color, [(_WIDTH * progress, height(value)) for progress, value in known[name]])
        for name, color in zip(metrics, _COLORS, strict=False)
    ]
    marks = _powers(bottom, top) if logarithmic else _steps(bottom, top)
    return _template().render(
        lines=lines, width=_WIDTH, height=_HEIGHT,
        values=[Mark(height(value), f"{value:.3g}") for value in marks],
        shares=[Mark(_WIDTH * share, f"{share:.0%}") for share in (0.0, 0.5, 1.0)],
    )  # fmt: skip


def _template() -> Template:
    text = (files("batchlaw.dashboard") / "curves.svg").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)


def _steps(low: float, high: float) -> list[float]:
    """Three to five round values between two."""
    magnitude = 10 ** math.floor(math.log10(high - low))
    step = next(magnitude * part for part in (0.2, 0.5, 1, 2, 5) if (high - low) / (magnitude * part) <= 5)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """The powers of ten between two logarithms, and 3 times those where they are few."""
    parts = (1, 3) if high - low < 2 else (1,)
    values = [part * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for part in parts]
    return [value for value in values if low <= math.log10(value) <= high]
