"""Pages as self-contained HTML files that need no network, and the same served by the dashboard."""

import re
from typing import Any

import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from batchlaw import __version__

_ENVIRONMENT = Environment(
    loader=PackageLoader("batchlaw.figures", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, *, script: str | None = None, **content: Any) -> str:
    """A page from one of the templates in `pages/`; Plotly is within, unless the page is served with `script`."""
    return _ENVIRONMENT.get_template(template).render(
        plotly=get_plotlyjs, script=script, version=__version__, **content
    )


def drawings(figures: dict[str, go.Figure], prefix: str) -> dict[str, str]:
    """Each figure as an HTML element, escaped by Plotly; its id is the prefix and its name."""
    return {name: _drawing(figure, f"{prefix}-{name}") for name, figure in figures.items()}


def _drawing(figure: go.Figure, name: str) -> str:
    return str(
        plotly.io.to_html(
            figure,
            include_plotlyjs=False,
            full_html=False,
            config={"responsive": True, "displayModeBar": False},
            div_id=re.sub(r"[^A-Za-z0-9_-]", "-", name),
        )
    )
