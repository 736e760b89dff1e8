"""The command that judges claims: `claim`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, errors, output, within
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from batchlaw.claims.evidence import Evidence
    from batchlaw.claims.tables import Columns
    from batchlaw.claims.verdict import Finding
    from batchlaw.figures.labels import Labels
    from batchlaw.spec import StudySpec

    Block = list[tuple[dict[str, Any], list[Finding]]]  # strata or groups, each with its findings

_HELP = """Judge a claim on designed runs: of a study, or of results made elsewhere (--csv).

`claim plan STUDY.toml` tells what a study would cost; `claim --list` what can be claimed.
"""


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(help=_HELP, epilog="Example: batchlaw claim claim-batch-per-lr --html report.html")(claim)


def claim(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY | plan STUDY.toml]", help="A study in the database.")
    ] = None,
    storage: StorageOption = DEFAULT_URL,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Results as CSV or CSV.gz.")] = None,
    lr: Annotated[str | None, typer.Option("--lr", metavar="COL", help="Column of the learning rate.")] = None,
    batch_size: Annotated[
        str | None, typer.Option("--batch-size", metavar="COL", help="Column of the batch size.")
    ] = None,
    score: Annotated[
        str | None, typer.Option("--score", metavar="COL[,COL…]", help="Columns of the score, a seed each.")
    ] = None,
    replicate: Annotated[
        str | None, typer.Option("--replicate", metavar="COL", help="Column that names the seed of a row.")
    ] = None,
    direction: Annotated[str, typer.Option("--direction", help="maximize or minimize the score.")] = "maximize",
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="Rows to keep, such as 'depth == 2 and alpha < 1e-3'.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="COL,…", help="Judge each level by itself, and pool the slopes.")
    ] = None,
    hypothesis: Annotated[
        str | None, typer.Option("--hypothesis", help="Such as H9, which is the default of a file.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", callback=within("--seed", 0, 2**63 - 1), help="Of the bootstrap.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="The hypotheses, and what each needs.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a report, one file that needs no network.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """See `_HELP`."""
    from batchlaw.claims.hypotheses import OF_A_FILE
    from batchlaw.figures.labels import Labels

    words = words or []
    if list_:
        _list()
    elif words[:1] == ["plan"] and len(words) == 2:
        _plan(Path(words[1]), json_)
    elif csv is not None and not words:
        columns = _columns(lr, batch_size, score, replicate, direction, group)
        name = _known(hypothesis or "H9")
        if name not in OF_A_FILE:
            raise BatchlawError(f"--hypothesis: got {name!r}; a file can be judged on {', '.join(OF_A_FILE)}")
        judged = _judge_csv(csv, columns, where, name, seed)
        _deliver(judged, Labels(csv.name, "", "score", columns.maximize), json_, html)
    elif csv is None and len(words) == 1:
        judged, spec = _judge_study(words[0], storage, hypothesis and _known(hypothesis), seed)
        labels = Labels(spec.name, spec.question, spec.arm.metric, spec.direction == "maximize")
        _deliver(judged, labels, json_, html)
    else:
        raise BatchlawError("claim: give one of STUDY, plan STUDY.toml, --csv FILE and --list")


def _deliver(judged: "list[Block]", labels: "Labels", json_: bool, html: Path | None) -> None:
    if json_:
        typer.echo(json.dumps(_as_json(judged), indent=2, default=str))
    else:
        for block in judged:
            _show(block)
    if html is not None:
        from batchlaw.figures.report import claim_report

        _write(html, claim_report(judged, labels))


def _columns(
    lr: str | None, batch_size: str | None, score: str | None, replicate: str | None, direction: str, group: str | None
) -> "Columns":
    from batchlaw.claims.tables import Columns

    if direction not in ("maximize", "minimize"):
        raise BatchlawError(f"--direction: got {direction!r}; must be maximize or minimize")
    for option, value in (("--lr", lr), ("--batch-size", batch_size), ("--score", score)):
        if value is None:
            raise BatchlawError(f"{option}: is required with --csv")
    assert lr and batch_size and score
    return Columns(
        lr=lr,
        batch_size=batch_size,
        scores=tuple(name.strip() for name in score.split(",")),
        replicate=replicate,
        group=tuple(name.strip() for name in group.split(",")) if group else (),
        maximize=direction == "maximize",
    )


def _known(name: str) -> str:
    from batchlaw.claims.hypotheses import CATALOGUE

    known = {entry.lower(): entry for entry in CATALOGUE}
    if name.lower() not in known:
        raise BatchlawError(f"--hypothesis: got {name!r}; must be one of {', '.join(CATALOGUE)}")
    return known[name.lower()]


def _list() -> None:
    from batchlaw.claims.hypotheses import CATALOGUE, MARGIN

    for entry in CATALOGUE.values():
        output.print(f"[bold]{entry.name}[/] {entry.statement}", soft_wrap=True)
        lines = {
            "statistic": entry.statistic,
            "supported if": entry.supports(MARGIN),
            "contradicted if": entry.contradicts(MARGIN),
            "needs": entry.needs(),
        }
        for label, text in lines.items():
            output.print(f"    {label + ':':17}{text}", soft_wrap=True, markup=False, style="dim")


def _judge_csv(file: Path, columns: "Columns", where: str | None, hypothesis: str, seed: int) -> "list[Block]":
    from rich.progress import track

    from batchlaw.claims.evidence import gather
    from batchlaw.claims.tables import read_table, surfaces
    from batchlaw.claims.verdict import judge

    parts = list(surfaces(read_table(file, columns, where), columns))
    quiet = len(parts) == 1 or not errors.is_terminal
    return [
        [
            (name, judge(gather(surface, seed=seed), [hypothesis]))
            for name, surface in track(parts, "judging", console=errors, disable=quiet)
        ]
    ]


def _judge_study(name: str, storage: str, hypothesis: str | None, seed: int) -> "tuple[list[Block], StudySpec]":
    from batchlaw.claims.designed import findings_of
    from batchlaw.dashboard.refresh import refresh
    from batchlaw.storage import load, open_storage

    stored = load(open_storage(storage), name)
    judged = findings_of(stored, [hypothesis] if hypothesis else None, seed)
    if hypothesis is None:
        refresh(stored, stored.slots.counts().total, judged)
    return judged, stored.spec


def _write(html: Path, text: str) -> None:
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BatchlawError(f"--html {html}: {error.strerror or error}") from None
    errors.print(f"wrote {html}", soft_wrap=True)


def _as_json(blocks: "list[Block]") -> dict[str, Any]:
    """A finding as it is; further hypotheses beside the first, under `findings`; groups under `groups` and `pooled`."""
    from batchlaw.claims.pooled import pool_findings

    found: list[dict[str, Any]] = []
    for block in blocks:
        if len(block) == 1:
            found += [finding.as_dict() for finding in block[0][1]]
            continue
        for column in zip(*(findings for _, findings in block), strict=True):  # of one hypothesis each
            groups = [{"group": name, **finding.as_dict()} for (name, _), finding in zip(block, column, strict=True)]
            found.append({**pool_findings(list(column)).as_dict(), "groups": groups})
    return found[0] if len(found) == 1 else {**found[0], "findings": found}


def _show(block: "Block") -> None:
    """Print the findings of one surface in full, or of several in a table with the pooled verdict."""
    if len(block) > 1:
        _show_groups(block)
        return
    findings = block[0][1]
    evidence = findings[0].evidence
    if evidence:
        output.print(_levels(findings[0], evidence))
    for finding in findings:
        says = f"{finding.hypothesis.statement}; {finding.reason}"
        late = "" if finding.preregistered else " (named after the runs)"
        output.print(f"[bold]{finding.hypothesis.name} {finding.verdict}[/]{late}: {escape(says)}", soft_wrap=True)
        if finding.settle:
            output.print(f"   would settle it: {finding.settle}", soft_wrap=True, style="dim")
    if evidence:
        output.print(_asides(evidence), soft_wrap=True, style="dim", markup=False)


def _show_groups(block: "Block") -> None:
    from batchlaw.claims.pooled import pool_findings

    for column in zip(*(findings for _, findings in block), strict=True):
        grid = Table("", "verdict", "slope", "interval", "identified", box=None)
        for (name, _), finding in zip(block, column, strict=True):
            slope, label = finding.slope, ", ".join(f"{key} {value}" for key, value in name.items())
            shown = ("", "") if slope is None else (f"{slope.slope:.2f}", f"[{slope.ci_low:.2f}, {slope.ci_high:.2f}]")
            grid.add_row(label, finding.verdict, *map(escape, shown), str(finding.side.ridge.identified.sum()))
        pooled = pool_findings(list(column))
        output.print(grid)
        says = f"{column[0].hypothesis.statement}; {pooled.reason}"
        output.print(f"[bold]{pooled.hypothesis} {pooled.verdict}[/]: {escape(says)}", soft_wrap=True)


def _levels(finding: "Finding", evidence: "Evidence") -> Table:
    """The optimum at each level, in the direction of the hypothesis."""
    from batchlaw.claims.hypotheses import GIVEN_LABELS

    found = evidence.as_dict()
    if finding.hypothesis.reverse:
        rows, given, optimum, titles = found["per_batch_size"], "batch_size", "lr_opt", ("batch size", "learning rate")
    else:
        rows, given, optimum = found[f"per_{evidence.given}"], evidence.given, "batch_size_opt"
        titles = (GIVEN_LABELS[evidence.given], "batch size")
    grid = Table(titles[0], f"best {titles[1]}", "interval", "", box=None)
    for row in rows:
        low, high = (None if row[end] is None else f"{row[end]:.3g}" for end in ("ci_low", "ci_high"))
        sign = {"left_censored": "≤ ", "right_censored": "≥ "}.get(row["status"], "")
        value = "?" if row["status"] == "undecided" else f"{row[optimum]:.3g}"
        bounds = escape(f"[{low}, {high}]") if low and high else f"{sign}{low or high or '?'}"
        grid.add_row(f"{row[given]:.4g}", value if not sign else "", bounds, row["status"].replace("_", " "))
    return grid


def _asides(evidence: "Evidence") -> str:
    """What a reader needs to weigh the verdict."""
    parts = []
    sides = {f"B_opt({evidence.given})": evidence.forward, "lr_opt(B)": evidence.reverse}
    for label, side in sides.items():
        if side and side.slope:
            slope = side.slope
            parts.append(f"slope of {label} {slope.slope:.2f} [{slope.ci_low:.2f}, {slope.ci_high:.2f}]")
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


def _plan(file: Path, json_: bool) -> None:
    from batchlaw.cli.machine import cores, runtime
    from batchlaw.measure.cost import cost_of
    from batchlaw.recipe.derive import check_space
    from batchlaw.spec import read_spec
    from batchlaw.workers.launch import local_devices

    spec = read_spec(file)
    check_space(spec)
    plan = cost_of(spec, runtime(spec, "auto", 1, None, file), len(local_devices()) or cores())
    if json_:
        typer.echo(json.dumps(asdict(plan), indent=2))
        return
    for line in plan.lines():
        output.print(line, soft_wrap=True)
