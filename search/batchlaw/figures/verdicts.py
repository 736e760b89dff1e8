"""The verdicts of a designed study as a table."""

from math import ceil
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from batchlaw.figures.style import BLACK, GREEN, ORANGE, VERMILLION, finish
from batchlaw.results.plain import name_of

if TYPE_CHECKING:  # imports statsmodels, which a search does not need
    from batchlaw.claims.designed import Block

_COLORS = {"supported": GREEN, "refuted": VERMILLION, "no relation": VERMILLION, "inconclusive": ORANGE}
_COLUMNS = (2, 4, 7)  # relative widths
_LINE = 48  # characters of a reason on a line of a table 680 px wide (measured); on a phone the table scrolls


def verdict_table(judged: "list[Block]") -> go.Figure:
    """A row for each hypothesis and stratum: its verdict and the reason."""
    rows = [
        (" ".join([finding.hypothesis.name, name_of(stratum)]).strip(), finding.verdict, finding.reason)
        for block in judged
        for stratum, findings in block
        for finding in findings
    ]
    names, verdicts, reasons = zip(*rows, strict=True)
    lines = sum(max(1, ceil(len(reason) / _LINE)) for reason in reasons)
    figure = go.Figure(
        go.Table(
            columnwidth=_COLUMNS,
            header={"values": ["claim", "verdict", "why"], "align": "left", "fill": {"color": "#eee"}},
            cells={
                "values": [names, [f"<b>{verdict}</b>" for verdict in verdicts], reasons], "align": "left",
                "fill": {"color": "#fff"}, "line": {"color": "#ddd"},
                "font": {"size": 12, "color": [BLACK, [_COLORS[verdict] for verdict in verdicts], BLACK]},
            },
        )
    )  # fmt: skip
    return finish(figure, "Verdicts", "by criteria fixed before the runs", height=110 + 16 * lines + 10 * len(rows))
