"""The commands that judge claims, and tell what a designed study costs: `claim`, `cost`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, bounded, errors, output, write_page
from batchlaw.cli.horizons import HorizonOption, refuse_of_a_file, show_claims
from batchlaw.cli.observing import show_described
from batchlaw.cli.tables import (
    StudyOrFileOption,
    check_none_of_a_file,
    is_file,
    of_files,
    reads_runs,
    show_notes,
    show_read,
)
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError
from batchlaw.results.plain import name_of
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block
    from batchlaw.claims.evidence import Evidence
    from batchlaw.claims.verdict import Finding, Grade
    from batchlaw.stats.slope import Slope


_EXAMPLES = (
    "claim-batch-per-lr --html report.html",
    "runs.csv --show-cells",
    "- --score val_loss < runs.jsonl",
    "optuna:my-study --storage sqlite:///optuna.db",
)


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="\n\n".join(f"Example: batchlaw claim {example}" for example in _EXAMPLES))(claim)
    app.command(epilog="Example: batchlaw cost studies/claim-batch-per-lr.toml")(cost)


@reads_runs
def claim(
    columns: dict[str, Any],
    data: StudyOrFileOption = None,
    storage: StorageOption = DEFAULT_URL,
    hypothesis: Annotated[
        str | None, typer.Option("--hypothesis", help="Such as H9, which is the default of a file.")
    ] = None,
    bootstrap_seed: Annotated[
        int, bounded("--bootstrap-seed", 0, 2**63 - 1, "Of the bootstraps, by which H5, H13, H17 and H25 are judged.")
    ] = 0,
    horizon: HorizonOption = None,
    list_: Annotated[bool, typer.Option("--list", help="The hypotheses, and what each needs.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a report, one file that needs no network.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Judge a claim on a designed study, or on runs made elsewhere."""
    from rich.progress import track

    from batchlaw.claims.table_claim import claim as judge

    if list_ is bool(data):
        raise BatchlawError("claim: give one of STUDY_OR_FILE and --list")
    if not data:
        _list()
        return
    study = None
    if is_file(data):
        refuse_of_a_file(horizon)
        found = judge(
            **of_files(data, storage, **columns),
            hypothesis=hypothesis,
            bootstrap_seed=bootstrap_seed,
            track=lambda groups: track(
                groups, "judging", console=errors, disable=len(groups) == 1 or not errors.is_terminal
            ),
        )
    else:
        check_none_of_a_file(data[0], **columns)
        study = Study.open(data[0], storage)
        found = study.claim(hypothesis, bootstrap_seed=bootstrap_seed, horizon=horizon)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for block in found.blocks:
            _show(block, found.grade)
        show_described(found)
        show_read(found.read)
        show_notes(found.notes)
        if study is not None and horizon is None and (horizons := study.spec.schedule.horizons):
            show_claims(horizons, lambda each: study.claim(hypothesis, bootstrap_seed=bootstrap_seed, horizon=each))
    if html is not None:
        from batchlaw.figures.labels import Labels
        from batchlaw.figures.report import claim_report

        labels = Labels(found.title, found.question, found.score, found.direction == "maximize")
        write_page(html, claim_report(list(found.blocks), labels, found.notes, found.descriptions))


def _list() -> None:
    from batchlaw.claims.hypotheses import CATALOGUE, MARGIN

    for entry in CATALOGUE.values():
        output.print(marked("[bold]{}[/] {}", entry.name, entry.statement), soft_wrap=True)
        lines = {
            "statistic": entry.statistic,
            "supported if": entry.supports(MARGIN),
            "contradicted if": entry.contradicts(MARGIN),
            "needs": entry.needs(),
        }
        for label, text in lines.items():
            output.print(f"    {label + ':':17}{text}", soft_wrap=True, markup=False, style="dim")


def _show(block: "Block", grade: "Grade") -> None:
    """Print the findings of one surface in full, or of several in a table with the pooled verdict.

    `grade` is that of findings that do not say their own.
    """
    if len(block) > 1:
        _show_groups(block, grade)
        return
    findings = block[0][1]
    evidence = findings[0].evidence
    if evidence:
        output.print(_levels(findings[0], evidence))
    for finding in findings:
        late = "" if finding.preregistered else " (named after the runs)"
        verdict = f"{finding.hypothesis.name} {finding.verdict} ({finding.grade or grade})"
        _say(verdict, late, finding.hypothesis.statement, finding.reason)
        if finding.settle:
            output.print(f"   would settle it: {finding.settle}", soft_wrap=True, style="dim", markup=False)
    if evidence and (asides := _asides(evidence)):
        output.print(asides, soft_wrap=True, style="dim", markup=False)


def _show_groups(block: "Block", grade: "Grade") -> None:
    from batchlaw.claims.pooled import pool_findings

    for column in zip(*(findings for _, findings in block), strict=True):
        grid = Table("", "verdict", "evidence", "slope", "identified", box=None)
        for (name, _), finding in zip(block, column, strict=True):
            slope, label = finding.slope, name_of(name)
            shown = "" if slope is None else _slope(slope)
            identified = str(finding.side.ridge.identified.sum()) if finding.evidence else ""
            grid.add_row(label, finding.verdict, finding.grade or grade, shown, identified)
        pooled = pool_findings(list(column))
        output.print(grid)
        verdict = f"{pooled.hypothesis.name} {pooled.verdict} ({pooled.grade or grade})"
        _say(verdict, "", column[0].hypothesis.statement, pooled.reason)
        if pooled.settle:
            output.print(f"   would settle it: {pooled.settle}", soft_wrap=True, style="dim", markup=False)


def _say(verdict: str, late: str, statement: str, reason: str) -> None:
    """Print a verdict, what it is about and the first part of its reason, and the other parts below."""
    first, *others = reason.split("; ")
    output.print(marked("[bold]{}[/]{}: {}; {}", verdict, late, statement, first), soft_wrap=True)
    for other in others:
        output.print(f"   {other}", soft_wrap=True, markup=False)


def _levels(finding: "Finding", evidence: "Evidence") -> Table:
    """The optimum at each level, in the direction of the hypothesis."""
    from batchlaw.claims.hypotheses import tuned_at

    found, side = evidence.as_dict(), finding.side
    if finding.hypothesis.reverse:
        rows, given, optimum = found["per_batch_size"], "batch_size", "lr_opt"
    else:
        rows, given = found[f"per_{evidence.given}"], evidence.given
        optimum = f"{tuned_at(given)}_opt"
    grid = Table(side.given_name, f"best {side.tuned_name}", "", box=None)
    for row in rows:
        told = "" if row["status"] in ("diverged", "missing") else row["status"].replace("_", " ")
        grid.add_row(f"{row[given]:.4g}", _set(row, optimum), told)
    return grid


def _set(row: dict[str, Any], optimum: str) -> str:
    """The confidence set of a level, such as "8 [5.7, 16]"."""
    low, high = (None if row[end] is None else f"{row[end]:.3g}" for end in ("ci_low", "ci_high"))
    if row["status"] == "diverged":
        return "every run diverged"
    if row["status"] == "missing":
        return "no run has a score"
    if low and high:
        best = f"{row[optimum]:.3g} " if row["status"] == "identified" else ""
        return f"{best}[{low}, {high}]"
    return f"≥ {low}" if low else f"≤ {high}" if high else "not bounded"


def _slope(slope: "Slope") -> str:
    """With its interval; the interval alone where the slope is only bounded."""
    interval = f"[{slope.ci_low:.2f}, {slope.ci_high:.2f}]"
    return f"in {interval}" if slope.bounded else f"{slope.slope:.2f} {interval}"


def _asides(evidence: "Evidence") -> str:
    """What a reader needs to weigh the verdict."""
    parts = []
    forward = "weight_decay_opt(B)" if evidence.given == "batch_size" else f"B_opt({evidence.given})"
    sides = {forward: evidence.forward, "lr_opt(B)": evidence.reverse}
    for label, side in sides.items():
        if side and side.slope:
            parts.append(f"slope of {label} {_slope(side.slope)}")
    if evidence.rho_squared is not None:
        parts.append(f"ρ² {evidence.rho_squared:.2f}")
    if evidence.collapse:
        c = evidence.collapse
        fit = "misfits" if c.lack_of_fit_p < 0.05 else "fits"
        interval = f"[{c.ci_low:.2f}, {c.ci_high:.2f}]"
        parts.append(f"collapse on ε/B^{c.alpha:.2f} {interval} {fit} (R² {c.r2:.2f} of {c.r2_surface:.2f})")
    if evidence.cliff_ratio is not None:
        parts.append(f"best batch size {evidence.cliff_ratio:.1f}× the smallest stable one")
    return " · ".join(parts)


def cost(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The file of a study.")],
    json_: JsonOption = False,
) -> None:
    """What a study would cost on this machine, and how well a designed one would tell; trains a few steps."""
    from batchlaw.study.costing import cost_of_file

    found = cost_of_file(file)
    if json_:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    for line in found.lines():
        output.print(line, soft_wrap=True)
