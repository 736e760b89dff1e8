"""Commands that carry a result to another batch size: law, transfer, recommend. None but `transfer --train` trains."""

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
    JsonOption,
    StorageOption,
    StudyArgument,
    errors,
    output,
    within,
)  # fmt: skip
from batchlaw.errors import BatchlawError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from batchlaw.laws import StudyLaw
    from batchlaw.laws.recommendation import Candidate, Recommendation
    from batchlaw.laws.transfer import Transfer
    from batchlaw.results.step_time import Profile
    from batchlaw.storage import StoredStudy

HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the figure, one file that needs no network.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw law claim-batch-per-lr --html law.html")(law)
    app.command(epilog="Example: batchlaw transfer claim-batch-per-lr --reference 32")(transfer)
    app.command(epilog="Example: batchlaw recommend digits-joint --seconds 2")(recommend)


def law(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """How the best learning rate moves with the batch size, by optimizer: curve, exponent, critical batch size."""
    stored, laws = _laws(study, storage)
    if json_:
        typer.echo(json.dumps({"study": study, "laws": [found.as_dict() for found in laws]}, indent=2))
    else:
        for found in laws:
            _show_law(found, stored.spec.name)
        if any(found.law for found in laws):
            output.print(f"Another batch size:  batchlaw export {study} --for-batch-size B", soft_wrap=True)
    if html is not None:
        from batchlaw.figures.laws import law_figure

        _write(html, stored, "law", {"law": law_figure(stored.spec, laws)})


def transfer(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    reference: Annotated[
        int | None,
        typer.Option(
            "--reference", callback=within("--reference", 1, 1e9), help="Batch size whose rate is carried; the study's."
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train at the rates of the rules, in place of reading between stored runs.")
    ] = False,
    device: DeviceOption = "auto",
    data_dir: DataDirOption = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """What each scaling rule costs where a tuned rate is carried to the other batch sizes of a designed study."""
    from batchlaw.laws.transfer import transfers_of

    stored, laws = _laws(study, storage)
    found = transfers_of(stored.spec, laws, reference=reference)
    if train:
        found = _trained(stored, found, device, data_dir)
    if json_:
        typer.echo(json.dumps({"study": study, "transfers": [part.as_dict() for part in found]}, indent=2))
    else:
        for part in found:
            _show_transfer(part, stored.spec.arm.metric)
    if html is not None:
        from batchlaw.figures.laws import transfer_figure

        figures = {f"transfer-{number}": transfer_figure(stored.spec, part) for number, part in enumerate(found)}
        _write(html, stored, "what a rule costs", dict(figures))


def recommend(
    study: StudyArgument,
    storage: StorageOption = DEFAULT_URL,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", callback=within("--seconds", 1e-3, 1e9), help="Of training, at most."),
    ] = None,
    devices: Annotated[
        int, typer.Option("--devices", callback=within("--devices", 1, 1_000_000), help="That share every batch.")
    ] = 1,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DEVICE", help="Part of a profile's device; the latest profile.")
    ] = None,
    html: HtmlOption = None,
    json_: JsonOption = False,
) -> None:
    """The fastest configuration whose score is within one standard error of the best, by the law and the profile."""
    from batchlaw.laws import known_laws
    from batchlaw.laws.recommendation import recommend as weigh
    from batchlaw.results.records import records_of
    from batchlaw.storage import load, open_storage

    stored = load(open_storage(storage), study)
    records = records_of(stored)
    found = weigh(
        stored.spec, records, known_laws(stored.spec, records), _profile(stored, on), seconds=seconds, devices=devices
    )
    if json_:
        typer.echo(json.dumps({"study": study, "metric": stored.spec.arm.metric, **found.as_dict()}, indent=2))
    else:
        _show_recommendation(found, stored)
    if html is not None:
        from batchlaw.figures.laws import front_figure

        _write(html, stored, "score against time", {"front": front_figure(stored.spec, found)})


def _laws(study: str, storage: str) -> "tuple[StoredStudy, list[StudyLaw]]":
    from batchlaw.laws import laws_of
    from batchlaw.results.records import records_of
    from batchlaw.storage import load, open_storage

    stored = load(open_storage(storage), study)
    return stored, laws_of(stored.spec, records_of(stored))


def _profile(stored: "StoredStudy", on: str | None) -> "Profile | None":
    from batchlaw.results.step_time import Profile
    from batchlaw.storage import profiles_of

    profiles = [Profile.from_record(record) for record in profiles_of(stored)]
    chosen = [profile for profile in profiles if on is None or on in profile.device]
    if on is not None and not chosen:
        known = ", ".join(profile.device for profile in profiles) or "none"
        raise BatchlawError(f"--on: got {on!r}; study {stored.spec.name!r} has profiles of: {known}")
    return max(chosen, key=lambda profile: profile.measured_at, default=None)


def _trained(stored: "StoredStudy", found: "list[Transfer]", device: str, data_dir: Path | None) -> "list[Transfer]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from batchlaw.cli.machine import cores, runtime
    from batchlaw.measure.transfer_training import n_trainings, trained

    spec = stored.spec
    if spec.user_code is not None:
        raise BatchlawError(
            f"--train: study {spec.name!r} runs {spec.user_code!r}; only a [task] can be trained by name"
        )
    # As many threads as the trials had that these runs stand beside.
    threads = [record.result.threads or 0 for part in found for record in part.law.records]
    machine = runtime(spec, device, max(threads, default=0) or cores(), data_dir, None)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("training", total=sum(map(n_trainings, found)))
        return [trained(spec, part, machine, done=lambda: bar.advance(task)) for part in found]


def _show_law(found: "StudyLaw", study: str) -> None:
    name = escape(f"{study}, {found.name}" if found.name else study)
    if found.law is None:
        output.print(f"[bold]{name}[/]: no law; {found.lack}", soft_wrap=True)
        return
    told = found.as_dict()
    grid = Table("batch size", "best rate", "interval", "by the law", "interval", box=None)
    for row, predicted in zip(told["per_batch_size"], told["law"]["predicted"], strict=True):
        bounds = [None if row[end] is None else f"{row[end]:.3g}" for end in ("ci_low", "ci_high")]
        sign = {"left_censored": "≤ ", "right_censored": "≥ "}.get(row["status"], "")
        known = row["status"] == "identified"
        grid.add_row(
            f"{row['batch_size']:g}", f"{row['lr_opt']:.3g}" if known else "",
            escape(f"[{bounds[0]}, {bounds[1]}]") if known else f"{sign}{bounds[0] or bounds[1] or '?'}",
            f"{predicted['lr']:.3g}", escape(f"[{predicted['ci_low']:.3g}, {predicted['ci_high']:.3g}]"),
        )  # fmt: skip
    output.print(f"[bold]{name}[/]: the best peak learning rate at each batch size")
    output.print(grid)
    for line in found.lines():
        output.print(escape(line), soft_wrap=True)


def _show_transfer(part: "Transfer", metric: str) -> None:
    where = f", {part.law.name}" if part.law.name else ""
    output.print(
        f"[bold]The rate tuned at batch size {part.surface.given[part.reference]:g}, carried to the others[/]"
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
        output.print(f"{name}: not measured; {reason}", soft_wrap=True, style="dim", markup=False)
    output.print(
        "p: that it costs no more than the first (Holm). ≥: the rate lies beyond those tried, and counts as the last.",
        style="dim", soft_wrap=True,
    )  # fmt: skip


def _show_recommendation(found: "Recommendation", stored: "StoredStudy") -> None:
    spec = stored.spec
    shared = f", every batch shared among {found.devices}" if found.devices > 1 else ""
    output.print(f"[bold]{spec.name}[/]: seconds by {found.clock}{shared}", soft_wrap=True)
    grid = Table("", "optimizer", "batch size", "peak lr", "seconds", spec.arm.metric.replace("_", " "), box=None)
    for candidate in found.candidates:
        if candidate.on_front or candidate.within:
            mark = "→" if candidate is found.chosen else "=" if candidate.within else ""
            grid.add_row(mark, *_cells(candidate))
    output.print(grid)
    output.print("= within one standard error of the best; the others are the front of score and time.", style="dim")
    chosen = found.chosen
    if chosen.lr_by_law:
        value, low, high = chosen.lr_by_law
        output.print(f"The law puts the best rate there at {value:.3g} \\[{low:.3g}, {high:.3g}].", soft_wrap=True)
    for line in found.left_out:
        output.print(f"left out: {line}", soft_wrap=True, style="dim", markup=False)
    output.print(f"Take it away:  batchlaw export {spec.name} --trial {chosen.configuration.trial} --format python")


def _cells(candidate: "Candidate") -> list[str]:
    config, error = candidate.config, candidate.configuration.standard_error
    score = f"{candidate.value:.4f}" + (f" ± {error:.4f}" if error is not None else "")
    part = f" after {candidate.progress:.0%}" if candidate.progress < 1 else ""
    return [
        config.optimizer, str(config.batch_size), f"{config.peak_lr:.3g}", f"{candidate.seconds:.3g}", f"{score}{part}"
    ]  # fmt: skip


def _write(html: Path, stored: "StoredStudy", what: str, figures: "dict[str, go.Figure | None]") -> None:
    """A page of the figures that there are."""
    from batchlaw.figures.pages import drawings, page

    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    if not drawn:
        raise BatchlawError(f"--html {html}: study {stored.spec.name!r} shows no law to draw")
    text = page("figures.html", title=f"{stored.spec.name}: {what}", question=stored.spec.question,
                drawings=drawings(drawn, "figure"))  # fmt: skip
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BatchlawError(f"--html {html}: {error.strerror or error}") from None
    errors.print(f"wrote {html}", soft_wrap=True)
