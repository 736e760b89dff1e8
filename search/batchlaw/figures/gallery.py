"""The figures of a study in the order of reading, the same in the dashboard and in a report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from batchlaw.figures.batches import outcome_figure
from batchlaw.figures.bests import best_per_batch_size, best_per_knob
from batchlaw.figures.costs import time_to_target, timeline
from batchlaw.figures.fronts import front_of_search
from batchlaw.figures.importance import importance_figure
from batchlaw.figures.labels import labels_of
from batchlaw.figures.parameters import parameter_figures
from batchlaw.figures.ridges import figures
from batchlaw.figures.trials import history, score_map
from batchlaw.figures.verdicts import verdict_table
from batchlaw.results.plain import name_of
from batchlaw.results.records import TrialRecord
from batchlaw.spec import StudySpec
from batchlaw.spec.knobs import KNOBS

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block
    from batchlaw.laws import Law


def gallery(
    spec: StudySpec, records: list[TrialRecord], judged: "list[Block]", laws: "Sequence[Law]" = ()
) -> dict[str, go.Figure]:
    """The figures by name; a figure that has nothing to show is left out.

    Args:
        spec: the study.
        records: its trials.
        judged: what `batchlaw.claims.designed.findings_of` found; empty for a search, or where runs are missing.
        laws: what `batchlaw.laws.known_laws` found.
    """
    surfaces = surface_figures(spec, judged)
    verdicts = {"verdicts": verdict_table(judged)} if judged else {}
    return verdicts | surfaces | trial_figures(spec, records, laws, with_map=not surfaces)


def trial_figures(
    spec: StudySpec, records: list[TrialRecord], laws: "Sequence[Law]", *, with_map: bool
) -> dict[str, go.Figure]:
    """The figures of trials; `with_map` adds the map of scores, which a designed study's surfaces replace."""
    of_laws: dict[str, go.Figure] = {}
    if laws:
        from batchlaw.figures.laws import law_figures  # imports SciPy, which a study without laws does not need

        of_laws = law_figures(spec, records, laws)
    drawn = {
        "score-against-seconds": front_of_search(spec, records),
        "score-map": score_map(spec, records) if with_map else None,
        **of_laws,
        "best-per-batch-size": best_per_batch_size(spec, records),
        "time-to-target": time_to_target(spec, records),
        **{
            f"best-per-{knob.name.replace('_', '-')}": best_per_knob(spec, records, knob.name)
            for knob in KNOBS
            if knob.kind is str
        },
        **parameter_figures(spec, records),
        "importance": importance_figure(spec, records),
        "outcomes": outcome_figure(spec, records),
        "history": history(spec, records),
        "timeline": timeline(records),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def surface_figures(spec: StudySpec, judged: "list[Block]") -> dict[str, go.Figure]:
    """The figures of each judged surface, named `lr-map`, or `lr-map-optimizer-adam` if there are several surfaces."""
    drawn = {}
    for stratum, findings in (part for block in judged for part in block):
        evidence = findings[0].evidence
        if evidence is None:
            continue
        suffix = "".join(f"-{key}-{value}" for key, value in stratum.items()).replace(".", "_")
        for name, figure in figures(evidence, labels_of(spec)).items():
            if stratum:
                title, line, subtitle = figure.layout.title.text.partition("<br>")
                figure.update_layout(title={"text": f"{title} ({name_of(stratum)}){line}{subtitle}"})
            drawn[f"{evidence.given}-{name}{suffix}"] = figure
    return drawn
