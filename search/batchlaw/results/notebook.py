"""Public results as a notebook shows them."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def notebook_html(heading: str, lines: Sequence[str], *tables: "pd.DataFrame") -> str:
    """A bold heading, a paragraph for each line, and tables; an empty table is left out."""
    parts = [f"<p><b>{escape(heading)}</b></p>", *(f"<p>{escape(line)}</p>" for line in lines)]
    parts += [
        table.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)
        for table in tables
        if not table.empty
    ]
    return "\n".join(parts)
