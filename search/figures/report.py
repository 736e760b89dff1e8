"""One self-contained HTML file that a person can send: verdicts, evidence, figures, and how to read them."""

from importlib.resources import files
from typing import Any

import plotly.io
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from search import __version__
from search.claims.hypotheses import GIVEN_LABELS
from search.claims.pooled import pool_findings
from search.claims.verdict import Finding
from search.figures.labels import Labels
from search.figures.ridges import figures


def report(blocks: list[list[tuple[dict[str, Any], list[Finding]]]], labels: Labels) -> str:
    """The report of a study or file; needs no network."""
    template = (files("search.figures") / "report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts = [_part(name, findings, labels) for block in blocks for name, findings in block]
    pooled = [
        pool_findings(list(column))
        for block in blocks
        if len(block) > 1
        for column in zip(*(findings for _, findings in block), strict=True)
    ]
    return environment.from_string(template).render(
        labels=labels, parts=parts, pooled=pooled, plotly=get_plotlyjs(), version=__version__
    )


def _part(name: dict[str, Any], findings: list[Finding], labels: Labels) -> dict[str, Any]:
    """What the template shows of one surface, or of the hypotheses about all runs."""
    evidence = findings[0].evidence
    part: dict[str, Any] = {
        "name": ", ".join(f"{key} {value}" for key, value in name.items()),
        "findings": findings,
        "figures": [],
        "evidence": None,
    }
    if evidence is not None:
        record = evidence.as_dict()
        part |= {
            "evidence": {"reverse": None, "rho_squared": None, **record},
            "given": GIVEN_LABELS[evidence.given],
            "levels": [{**row, "given": row[evidence.given]} for row in record[f"per_{evidence.given}"]],
            "figures": [_html(figure) for figure in figures(evidence, labels).values()],
        }
    return part


def _html(figure: Any) -> str:
    return str(
        plotly.io.to_html(
            figure, include_plotlyjs=False, full_html=False, config={"responsive": True, "displayModeBar": False}
        )
    )
