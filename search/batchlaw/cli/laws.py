"""The commands law and transfer. Only `transfer --train` trains."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from batchlaw.cli.console import (
    DEFAULT_URL,
    DataDirOption,
    DeviceOption,
    HtmlOption,
    JsonOption,
    StorageOption,
    bounded,
    errors,
    output,
    stored_study,
    write_figures,
)  # fmt: skip
from batchlaw.cli.tables import (
    AlphaOption,
    BatchSizeOption,
    BootstrapSeedOption,
    DirectionOption,
    LrOption,
    ScoreOption,
    SeedOption,
    StudyOrFileArgument,
    WhereOption,
    check_none_of_a_file,
    is_file,
    of_a_file,
)
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    from batchlaw.laws import Law
    from batchlaw.laws.transfer import Transfer
    from batchlaw.storage import StoredStudy

ByOption = Annotated[
    str | None, typer.Option("--by", metavar="COL,…", help="Columns such as the optimizer; a law for each level.")
]
OptimizerOption = Annotated[
    str | None, typer.Option("--optimizer", help="Of the runs of a file, where --by names no column of it; sgd.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw law claim-batch-per-lr --html law.html")(law)
    app.command(epilog="Example: batchlaw transfer claim-batch-per-lr --reference 32")(transfer)


def law(
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    lr: LrOption = None,
    batch_size: BatchSizeOption = None,
    score: ScoreOption = None,
    seed: SeedOption = None,
    by: ByOption = None,
    where: WhereOption = None,
    direction: DirectionOption = None,
    optimizer: OptimizerOption = None,
    alpha: AlphaOption = None,
    bootstrap_seed: BootstrapSeedOption = 0,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """How the best learning rate moves with the batch size, by optimizer: curve, exponent, critical batch size."""
    from batchlaw.laws.studies import law_of_study
    from batchlaw.laws.tables import law as law_of_table

    columns = {
        "lr": lr, "batch_size": batch_size, "score": score, "seed": seed, "by": by, "where": where,
        "direction": direction, "optimizer": optimizer, "alpha": alpha,
    }  # fmt: skip
    question = ""
    if is_file(data):
        found = law_of_table(data, **of_a_file(data, **columns), bootstrap_seed=bootstrap_seed)
    else:
        check_none_of_a_file(data, **columns)
        stored = stored_study(data, storage)
        question = stored.spec.question
        found = law_of_study(stored, bootstrap_seed=bootstrap_seed)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for part in found.strata:
            _show_law(part)
        if any(part.fitted for part in found.strata) and not is_file(data):
            output.print(f"Another batch size:  batchlaw export {data} --for-batch-size B", soft_wrap=True)
    if html is not None:
        from batchlaw.figures.laws import law_figure

        write_figures(html, found.title, question, "law", {"law": law_figure(found.strata)})


def transfer(
    data: StudyOrFileArgument,
    storage: StorageOption = DEFAULT_URL,
    lr: LrOption = None,
    batch_size: BatchSizeOption = None,
    score: ScoreOption = None,
    seed: SeedOption = None,
    by: ByOption = None,
    where: WhereOption = None,
    direction: DirectionOption = None,
    optimizer: OptimizerOption = None,
    alpha: AlphaOption = None,
    bootstrap_seed: BootstrapSeedOption = 0,
    reference: Annotated[
        int | None,
        bounded("--reference", 1, 1e9, "Batch size whose rate is moved; the study's, or the middle one of a file."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train at the rates of the rules instead of interpolating stored runs.")
    ] = False,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """What each scaling rule costs where a tuned learning rate is moved to the other batch sizes."""
    from batchlaw.laws.tables import transfer as transfer_of_table
    from batchlaw.laws.transfer import transfer_of_study

    columns = {
        "lr": lr, "batch_size": batch_size, "score": score, "seed": seed, "by": by, "where": where,
        "direction": direction, "optimizer": optimizer, "alpha": alpha,
    }  # fmt: skip
    question, metric = "", "score"
    if is_file(data):
        if train:
            raise BatchlawError(f"--train: goes with a study, and {data} is a file")
        options = of_a_file(data, **columns)
        found = transfer_of_table(data, **options, bootstrap_seed=bootstrap_seed, reference_batch_size=reference)
    else:
        check_none_of_a_file(data, **columns)
        stored = stored_study(data, storage)
        question, metric = stored.spec.question, stored.spec.arm.metric
        found = transfer_of_study(stored, reference_batch_size=reference, bootstrap_seed=bootstrap_seed)
        if train:
            found = _trained(stored, found, device, data_dir)
    if json_:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for part in found.strata:
            _show_transfer(part, metric, trained=train)
    if html is not None:
        from batchlaw.figures.laws import transfer_figure

        figures = {f"transfer-{number}": transfer_figure(metric, part) for number, part in enumerate(found.strata)}
        write_figures(html, found.law.title, question, "what a rule costs", dict(figures))


def _trained(stored: "StoredStudy", found: "Transfer", device: str, data_dir: Path | None) -> "Transfer":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from batchlaw.measure.transfer_training import n_trainings, trained
    from batchlaw.study.code import Code
    from batchlaw.workers.launch import cores

    spec = stored.spec
    if spec.user_code is not None:
        raise BatchlawError(
            f"--train: study {spec.name!r} runs {spec.user_code!r}; only a built-in [task] can be trained here"
        )
    # As many threads as the trials had that these runs are compared with.
    threads = [record.result.threads or 0 for part in found.strata for record in part.law.records]
    machine = Code().runtime(spec, device, data_dir, threads=max(threads, default=0) or cores())
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("training", total=n_trainings(found))
        return trained(spec, found, machine, done=lambda: bar.advance(task))


def _show_law(found: "Law") -> None:
    name = escape(", ".join(filter(None, (found.title, found.name))))
    if found.fitted is None:
        output.print(f"[bold]{name}[/]: no law; {found.lack}", soft_wrap=True)
        return
    grid = Table("batch size", "best rate", "interval", "by the law", "interval", box=None)
    for row in found.levels.itertuples():
        bounds = [None if end != end else f"{end:.3g}" for end in (row.low, row.high)]
        sign = {"left_censored": "≤ ", "right_censored": "≥ "}.get(row.status, "")
        known = row.status == "identified"
        grid.add_row(
            f"{row.batch_size:g}", f"{row.best:.3g}" if known else "",
            escape(f"[{bounds[0]}, {bounds[1]}]") if known else f"{sign}{bounds[0] or bounds[1] or '?'}",
            f"{row.predicted:.3g}", escape(f"[{row.predicted_low:.3g}, {row.predicted_high:.3g}]"),
        )  # fmt: skip
    output.print(f"[bold]{name}[/]: the best peak learning rate at each batch size")
    output.print(grid)
    for line in found.lines():
        output.print(escape(line), soft_wrap=True)


def _show_transfer(part: "Transfer", metric: str, *, trained: bool) -> None:
    where = f", {part.law.name}" if part.law.name else ""
    output.print(
        f"[bold]The rate tuned at batch size {part.reference_batch_size:g}, moved to the others[/]"
        f"{escape(where)}: {metric.replace('_', ' ')} lost against tuning anew", soft_wrap=True,
    )  # fmt: skip
    grid = Table("rule", "mean", "interval", "worst", "at batch size", "p", box=None)
    for rule in part.rules:
        regret, worst = rule.regret, rule.carried.regrets[rule.worst].mean()
        bound = "≥ " if rule.carried.beyond[rule.worst] else ""
        p = "" if rule.p_adjusted is None else f"{rule.p_adjusted:.2g}"
        grid.add_row(
            rule.name, f"{regret.difference:+.4f}", escape(f"[{regret.ci_low:+.4f}, {regret.ci_high:+.4f}]"),
            f"{bound}{worst:.4f}", f"{part.surface.given[rule.worst]:g}", p,
        )  # fmt: skip
    output.print(grid)
    for name, reason in part.unmeasured.items():
        hint = "; --train measures it" if name == "sde" and not trained and part.grade == "designed" else ""
        output.print(f"{name}: not measured; {reason}{hint}", soft_wrap=True, style="dim", markup=False)
    output.print(
        "p: that it costs no more than the first (Holm). ≥: the rate lies beyond those tried and counts as the last.",
        style="dim", soft_wrap=True,
    )  # fmt: skip
