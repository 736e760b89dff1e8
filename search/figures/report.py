"""One self-contained HTML file that a person can send: verdicts, evidence, figures, and how to read them."""

from importlib.resources import files
from typing import Any

import plotly.io
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from search import __version__
from search.claims.pooled import pool_findings
from search.claims.verdict import Finding
from search.figures.labels import Labels
from search.figures.ridges import figures


def report(judged: list[tuple[dict[str, Any], list[Finding]]], labels: Labels) -> str:
    """The report of a study or file; needs no network."""
    template = (files("search.figures") / "report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts = [
        {
            "name": ", ".join(f"{key} {value}" for key, value in name.items()),
            "findings": findings,
            "evidence": findings[0].evidence.as_dict(),
            "figures": [_html(figure) for figure in figures(findings[0].evidence, labels).values()],
        }
        for name, findings in judged
    ]
    columns = zip(*(findings for _, findings in judged), strict=True)
    pooled = [pool_findings(list(column)) for column in columns] if len(judged) > 1 else []
    return environment.from_string(template).render(
        labels=labels, parts=parts, pooled=pooled, plotly=get_plotlyjs(), version=__version__
    )


def _html(figure: Any) -> str:
    return str(plotly.io.to_html(figure, include_plotlyjs=False, full_html=False, config={"responsive": True}))
