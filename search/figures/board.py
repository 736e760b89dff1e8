"""Figures on the dashboard's study page."""

import warnings
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna_dashboard import save_plotly_graph_object

from search.claims.verdict import Finding
from search.figures.labels import Labels
from search.figures.ridges import figures
from search.storage import StoredStudy, patiently


def save_figures(stored: StoredStudy, blocks: list[list[tuple[dict[str, Any], list[Finding]]]]) -> None:
    """Draw the surfaces of a study on its page, in the place of what was drawn before."""
    spec = stored.spec
    for stratum, findings in (part for block in blocks for part in block):
        evidence = findings[0].evidence
        if evidence is None:
            continue
        suffix = " ".join(f"{key} {value}" for key, value in stratum.items())
        labels = Labels(spec.name, spec.question, spec.arm.metric, spec.direction == "maximize")
        for name, figure in figures(evidence, labels).items():
            if suffix:
                figure.update_layout(title=f"{figure.layout.title.text} ({suffix})")
            identifier = "-".join(["batchlaw", evidence.given, name, *suffix.replace(".", "_").split()])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                patiently(lambda: save_plotly_graph_object(stored.study, figure, graph_object_id=identifier))  # noqa: B023
