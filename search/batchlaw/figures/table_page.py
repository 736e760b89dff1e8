"""The page of a table of runs: what was understood, what to take, verdicts, laws, costs, and what to run next."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from batchlaw.claims.claim import Claim
from batchlaw.claims.parted import PartedTable
from batchlaw.figures.choices import choices_figure
from batchlaw.figures.fitted import surface_figure
from batchlaw.figures.labels import Labels
from batchlaw.figures.laws import law_figure, transfer_figure
from batchlaw.figures.observed import observed_figure
from batchlaw.figures.pages import drawings, page
from batchlaw.figures.parts import part_of, pooled
from batchlaw.figures.ridges import figures
from batchlaw.laws.law import Law
from batchlaw.laws.table_recommendation import TableRecommendation
from batchlaw.laws.transfer import Transfer
from batchlaw.results.plain import name_of
from batchlaw.tables.grid import shown_cells

_MOST_CELLS = (40, 16)  # learning rates and batch sizes of a grid that is shown
_MOST_DRAWN = 8  # strata with figures of their own
_MOST_FURTHER = 16  # runs
_GRADES = {
    "replicated": "Several seeds of each run tell how much a score varies.",
    "fitted": "A smooth surface through single runs stands for seeds.",
    "observed": "The runs are too few, or lie so, that they are described and not judged.",
}


@dataclass(frozen=True, eq=False)
class TableAccount:
    """All that is found in a table."""

    parted: PartedTable
    claim: Claim
    law: Law  # with those of all strata
    transfer: Transfer | None  # likewise
    no_costs: str | None  # why there is no transfer
    advice: TableRecommendation | None  # likewise

    @property
    def figures(self) -> dict[str, go.Figure]:
        """Every figure, by its name."""
        found = self._of_choices | self._of_laws | self._of_costs
        for number, drawn in enumerate(self._of_evidence):
            found |= {f"evidence-{number}-{name}": figure for name, figure in drawn.items()}
        for number, (_, seen) in enumerate(self.claim.descriptions[:_MOST_DRAWN]):
            if (figure := observed_figure(seen)) is not None:
                found[f"observed-{number}"] = figure
        return found

    @property
    def _of_choices(self) -> dict[str, go.Figure]:
        parts = self.advice.strata if self.advice else ()
        return _there({f"choices-{n}": choices_figure(each) for n, each in enumerate(parts[:_MOST_DRAWN])})

    @property
    def _of_laws(self) -> dict[str, go.Figure]:
        drawn = {f"surface-{n}": surface_figure(each) for n, each in enumerate(self.law.strata[:_MOST_DRAWN])}
        return _there({"law": law_figure(self.law.strata)} | drawn)

    @property
    def _of_costs(self) -> dict[str, go.Figure]:
        parts = self.transfer.strata if self.transfer else ()
        score = self.parted.runs.columns.score[0]
        return {f"transfer-{n}": transfer_figure(score, each) for n, each in enumerate(parts[:_MOST_DRAWN])}

    @property
    def _of_evidence(self) -> list[dict[str, go.Figure]]:
        """Of each judged part, in the order of the blocks."""
        columns = self.parted.runs.columns
        labels = Labels(self.claim.title, "", columns.score[0], columns.maximize)
        found: list[dict[str, go.Figure]] = []
        for number, (_, findings) in enumerate(part for block in self.claim.blocks for part in block):
            evidence = findings[0].evidence
            found.append(figures(evidence, labels) if evidence is not None and number < _MOST_DRAWN else {})
        return found


def table_page(account: TableAccount, *, written: str) -> str:
    """The page, one HTML file that needs no network; `written` is the date to print."""
    claim, law = account.claim, account.law
    blocks = list(claim.blocks)
    parts = [part for block in blocks for part in block]
    evidence = account._of_evidence
    further = claim.further.head(_MOST_FURTHER)
    return page(
        "table.html",
        title=claim.title,
        grade=claim.grade,
        grade_means=_GRADES[claim.grade],
        read=claim.read,
        notes=claim.notes,
        cells=_cells(account.parted),
        advice=account.advice.strata if account.advice else (),
        choices=drawings(account._of_choices, "choices"),
        parts=[
            part_of(levels, findings) | {"figures": drawings(drawn, f"evidence-{number}")}
            for number, ((levels, findings), drawn) in enumerate(zip(parts, evidence, strict=True))
        ],
        pooled=pooled(blocks),
        laws=[(each.name, each.lines()) for each in law.strata],
        together=law.together,
        of_laws=drawings(account._of_laws, "laws"),
        costs=[
            (each.law.name, each.guide, _costs(each)) for each in (account.transfer.strata if account.transfer else ())
        ],
        no_costs=account.no_costs,
        of_costs=drawings(account._of_costs, "costs"),
        described=[_described(number, *each) for number, each in enumerate(claim.descriptions)],
        settles=claim.settles,
        further=further.to_dict("records"),
        further_of=[name for name in further.columns if name not in ("lr", "batch_size", "why")],
        written=written,
    )


def _there(drawn: dict[str, go.Figure | None]) -> dict[str, go.Figure]:
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _cells(parted: PartedTable) -> dict[str, Any] | None:
    """The grid that was understood; None where it is too large to read."""
    cells = shown_cells(parted.runs)
    if cells.shape[0] > _MOST_CELLS[0] or cells.shape[1] > _MOST_CELLS[1]:
        return None
    rows = [(rate, cells.loc[rate].tolist()) for rate in cells.index]
    return {"corner": cells.index.name, "columns": list(cells.columns), "rows": rows}


def _costs(transfer: Transfer) -> list[tuple[str, float, float, float]]:
    return [(rule.name, rule.regret.difference, rule.regret.ci_low, rule.regret.ci_high) for rule in transfer.rules]


def _described(number: int, levels: dict[str, Any], seen: Any) -> dict[str, Any]:
    drawn = observed_figure(seen) if number < _MOST_DRAWN else None
    shown = drawings({"observed": drawn}, f"observed-{number}") if drawn is not None else {}
    return {"name": name_of(levels), "sentences": seen.sentences, "figures": shown}
