"""The commands law and transfer. Only `transfer --train` trains."""

import json
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    CodeFileOption,
    DataDirOption,
    DeviceOption,
    HtmlOption,
    JsonOption,
    StorageOption,
    ThreadsOption,
    bar_of,
    bounded,
    output,
    write_figures,
)  # fmt: skip
from batchlaw.cli.figure import FigureOption, show_law
from batchlaw.cli.horizons import HorizonOption, refuse_of_a_file, show_laws
from batchlaw.cli.tables import (
    BootstrapSeedOption,
    StudyOrFileArgument,
    check_none_of_a_file,
    is_file,
    of_files,
    reads_runs,
    show_notes,
    show_read,
)
from batchlaw.consoles import marked
from batchlaw.errors import BatchlawError
from batchlaw.results.sharing import lines_of
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.laws import Law
    from batchlaw.laws.transfer import Transfer

OptimizerOption = Annotated[
    str | None, typer.Option("--optimizer", help="Of the runs of a file, where --by names no column of it; sgd.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw law claim-batch-per-lr --html law.html")(law)
    app.command(epilog="Example: batchlaw transfer claim-batch-per-lr --reference 32")(transfer)


@reads_runs
def law(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    optimizer: OptimizerOption = None,
    bootstrap_seed: BootstrapSeedOption = 0,
    horizon: HorizonOption = None,
    figure: FigureOption = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """How the best learning rate moves with the batch size, by optimizer: curve, exponent, critical batch size."""
    from batchlaw.laws.tables import law as law_of_table

    columns |= {"optimizer": optimizer}
    question, study = "", None
    if is_file(data):
        refuse_of_a_file(horizon)
        found = law_of_table(**of_files(data, storage, **columns), bootstrap_seed=bootstrap_seed)
    else:
        check_none_of_a_file(data[0], **columns)
        study = Study.open(data[0], storage)
        question = study.spec.purpose
        found = study.law(bootstrap_seed=bootstrap_seed, horizon=horizon)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for part in found.strata:
            _show_law(part)
            if part.fitted is not None:
                show_law(part, figure)
        for line in found.together:
            output.print(line, soft_wrap=True)
        show_read(found.read)
        show_notes(found.notes)
        if study is not None and horizon is None and (horizons := study.spec.schedule.horizons):
            show_laws(horizons, lambda each: study.law(bootstrap_seed=bootstrap_seed, horizon=each))
        if any(part.fitted for part in found.strata) and not is_file(data):
            output.print(f"Another batch size:  batchlaw export {data[0]} --for-batch-size B", soft_wrap=True)
    if html is not None:
        from batchlaw.figures.fitted import surface_figure
        from batchlaw.figures.laws import law_figure

        surfaces = {f"surface-{number}": surface_figure(part) for number, part in enumerate(found.strata)}
        write_figures(
            html,
            found.title,
            question,
            f"law ({found.grade})",
            {"law": law_figure(found.strata)} | surfaces,
            found.notes,
        )


@reads_runs
def transfer(
    columns: dict[str, Any],
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    optimizer: OptimizerOption = None,
    bootstrap_seed: BootstrapSeedOption = 0,
    reference: Annotated[
        int | None,
        bounded("--reference", 1, 1e9, "Batch size whose rate is moved; the study's, or the middle one of a file."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train at the rates of the rules instead of interpolating stored runs.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    data_dir: DataDirOption = None,
    file: CodeFileOption = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """What each scaling rule costs where a tuned learning rate is moved to the other batch sizes."""
    from batchlaw.laws.tables import transfer as transfer_of_table

    columns |= {"optimizer": optimizer}
    question, metric = "", "score"
    if is_file(data):
        for option, given in {"--train": train, "--file": file is not None}.items():
            if given:
                raise BatchlawError(f"{option}: goes with a study, and {data[0]} is a file")
        options = of_files(data, storage, **columns)
        found = transfer_of_table(**options, bootstrap_seed=bootstrap_seed, reference_batch_size=reference)
    else:
        check_none_of_a_file(data[0], **columns)
        study = Study.open(data[0], storage, file=file)
        question, metric = study.spec.purpose, study.spec.arm.metric
        with bar_of("training", shown=train) as tick:
            found = study.transfer(
                reference_batch_size=reference, bootstrap_seed=bootstrap_seed, train=train, device=device,
                threads=threads, data_dir=data_dir, tick=tick,
            )  # fmt: skip
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for part in found.strata:
            _show_transfer(part, metric, trained=train)
        show_read(found.read)
        show_notes(found.notes)
    if html is not None:
        from batchlaw.figures.laws import transfer_figure

        figures = {f"transfer-{number}": transfer_figure(metric, part) for number, part in enumerate(found.strata)}
        write_figures(html, found.law.title, question, f"what a rule costs ({found.grade})", dict(figures), found.notes)


def _show_law(found: "Law") -> None:
    name = ", ".join(filter(None, (found.title, found.name)))
    if found.fitted is None:
        output.print(marked("[bold]{}[/]: no law ({}); {}", name, found.grade, found.lack), soft_wrap=True)
        for line in found.lines()[1:]:
            output.print(f"   {line}", soft_wrap=True, markup=False)
        return
    grid = Table("batch size", "best rate", "interval", "by the law", "interval", box=None)
    for row in found.levels.itertuples():
        bounds = [None if end != end else f"{end:.3g}" for end in (row.low, row.high)]
        sign = {"left_censored": "≤ ", "right_censored": "≥ "}.get(row.status, "")
        known, by_law = row.status == "identified", f"[{row.predicted_low:.3g}, {row.predicted_high:.3g}]"
        grid.add_row(
            f"{row.batch_size:g}", f"{row.best:.3g}" if known else "",
            f"[{bounds[0]}, {bounds[1]}]" if all(bounds) else f"{sign}{bounds[0] or bounds[1] or '?'}",
            *([] if isnan(row.predicted) else [f"{row.predicted:.3g}", by_law]),
        )  # fmt: skip
    title = "[bold]{}[/] ({}): the best peak learning rate at each batch size"
    output.print(marked(title, name, found.grade), soft_wrap=True)
    output.print(grid)
    for line in found.lines():
        output.print(line, soft_wrap=True)


def _show_transfer(part: "Transfer", metric: str, *, trained: bool) -> None:
    where = f", {part.law.name}" if part.law.name else ""
    title = "[bold]The rate tuned at batch size {}, moved to the others[/]{} ({}): {} lost against tuning anew"
    reference, of = f"{part.reference_batch_size:g}", metric.replace("_", " ")
    output.print(marked(title, reference, where, part.grade, of), soft_wrap=True)
    grid = Table("rule", "mean", "interval", "worst", "at batch size", "p", box=None)
    for rule in part.rules:
        regret, worst = rule.regret, rule.carried.regrets[rule.worst].mean()
        bound = "≥ " if rule.carried.beyond[rule.worst] else ""
        p = "" if rule.p_adjusted is None else f"{rule.p_adjusted:.2g}"
        grid.add_row(
            rule.name, f"{regret.difference:+.4f}", f"[{regret.ci_low:+.4f}, {regret.ci_high:+.4f}]",
            f"{bound}{worst:.4f}", f"{part.given[rule.worst]:g}", p,
        )  # fmt: skip
    output.print(grid)
    for line in lines_of(part.law.sharing):
        output.print(line, soft_wrap=True)
    if part.guide:
        output.print(f"this is a guide and no test: {part.guide}", soft_wrap=True, markup=False)
    for name, reason in part.unmeasured.items():
        hint = "; --train measures it" if name == "sde" and not trained and part.grade == "designed" else ""
        output.print(f"{name}: not measured; {reason}{hint}", soft_wrap=True, style="dim", markup=False)
    output.print(
        "p: that it costs no more than the first (Holm). ≥: the rate lies beyond those tried and counts as the last.",
        style="dim", soft_wrap=True,
    )  # fmt: skip
