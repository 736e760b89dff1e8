"""A folder of TensorBoard runs."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import SCALARS, TENSORS, EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from batchlaw.tables.formats.records import flat
from batchlaw.tables.formats.yaml_text import load_yaml

_SESSION = "_hparams_/session_start_info"
_YAML = ("hparams.yaml", "hparams.yml", "config.yaml")


def read_events(folder: Path) -> pd.DataFrame:
    """Its runs, a row for each step at which a scalar was written.

    Hyperparameters are those of the hparams plugin (SummaryWriter.add_hparams, which writes to a folder of its own
    within that of the run), or of `hparams.yaml` beside the events, as Lightning writes it.
    """
    rows: list[dict[str, str]] = []
    runs = sorted({file.parent for file in folder.rglob("*tfevents*")})
    # A run has what was logged in its folder and in those within it that only hold hyperparameters and final metrics.
    outer = [run for run in runs if not any(other in run.parents for other in runs)]
    for run in outer:
        inputs: dict[str, Any] = {}
        scalars: dict[int, dict[str, str]] = {}
        last: dict[str, str] = {}
        for place in [inner for inner in runs if inner == run or run in inner.parents]:
            inputs |= _written(place) | _read(place, scalars if place == run else {}, last if place != run else {})
        steps = scalars or {0: {}}
        final = max(steps)
        steps[final] = steps[final] | {name: value for name, value in last.items() if name not in steps[final]}
        named = {f"hparams.{name}": str(value) for name, value in inputs.items()}
        label = str(run.relative_to(folder)) or "."
        rows += [{"run": label, "step": str(step), **named, **steps[step]} for step in sorted(steps)]
    return pd.DataFrame(rows).fillna("")


def _written(folder: Path) -> dict[str, Any]:
    """What a YAML file beside the events holds."""
    for name in _YAML:
        if (folder / name).is_file():
            try:
                found = load_yaml((folder / name).read_text())
            except (ValueError, OSError):
                return {}
            return dict(flat(found)) if isinstance(found, dict) else {}
    return {}


def _read(folder: Path, scalars: dict[int, dict[str, str]], last: dict[str, str]) -> dict[str, Any]:
    """Add the scalars of a folder by step, and the last of each; return the hyperparameters of the plugin."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0, TENSORS: 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            scalars.setdefault(event.step, {})[tag] = last[tag] = repr(event.value)
    for tag in events.Tags()["tensors"]:  # TensorFlow's way of scalars
        for event in events.Tensors(tag):
            value = event.tensor_proto.float_val
            if len(value) == 1:
                scalars.setdefault(event.step, {})[tag] = last[tag] = repr(float(value[0]))
    try:
        content = events.SummaryMetadata(_SESSION).plugin_data.content
    except KeyError:
        return {}
    session = HParamsPluginData.FromString(content).session_start_info
    return {name: _value(value) for name, value in session.hparams.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    found = getattr(value, kind) if kind else ""
    whole = isinstance(found, float) and math.isfinite(found) and found == int(found)
    return int(found) if whole else found
