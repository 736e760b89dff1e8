"""The command that writes reports of studies."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import DEFAULT_URL, JsonOption, StorageOption, errors, output
from batchlaw.errors import BatchlawError, StudyError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from batchlaw.claims.designed import Block
    from batchlaw.figures.accounts import Account
    from batchlaw.storage import StoredStudy

PngOption = Annotated[
    Path | None, typer.Option("--png", metavar="DIR", help="Write every figure there as PNG, for a paper.")
]
SvgOption = Annotated[Path | None, typer.Option("--svg", metavar="DIR", help="Write every figure there as SVG.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw report digits-joint -o report.html --svg figures")(report)


def report(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY…", help="Studies in the database; several compare.")],
    storage: StorageOption = DEFAULT_URL,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="STUDY.html, or report.html for several, where not given."),
    ] = None,
    png: PngOption = None,
    svg: SvgOption = None,
    json_: JsonOption = False,
) -> None:
    """Write studies into one HTML file, which needs no network: what was run, what was found, and what it cost."""
    from rich.progress import Progress

    from batchlaw.figures.images import check_images, write_images
    from batchlaw.figures.report import study_report
    from batchlaw.storage import load, open_storage

    if len(set(studies)) < len(studies):
        raise BatchlawError(f"STUDY: got {' '.join(studies)}; must not repeat a study")
    folders = {option: folder for option, folder in (("--png", png), ("--svg", svg)) if folder is not None}
    for option in folders:
        check_images(option)
    page = file or Path(f"{studies[0]}.html" if len(studies) == 1 else "report.html")
    database = open_storage(storage)
    stored = [load(database, name) for name in studies]
    _check_places(page, folders)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        reading = progress.add_task("reading and judging", total=len(stored))
        accounts = []
        for study in stored:
            accounts.append(_account(study))
            progress.advance(reading)
        page.write_text(study_report(accounts, written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")), "utf-8")
        images = {
            folder / f"{name}.{option[2:]}": figure
            for name, figure in (_figures(accounts) if folders else {}).items()
            for option, folder in folders.items()
        }
        if images:
            drawing = progress.add_task("drawing figures", total=len(images))
            write_images(images, lambda: progress.advance(drawing))
    if json_:
        typer.echo(json.dumps({"report": str(page), "figures": list(map(str, images))}, indent=2))
        return
    for account in accounts:
        if account.lack:
            errors.print(f"{account.spec.name}: no verdicts yet: {account.lack}", soft_wrap=True, markup=False)
    counts = [f"{len(images) // len(folders)} figures in {folder}" for folder in folders.values()]
    output.print(", ".join([f"wrote {page}", *counts]), soft_wrap=True, markup=False)


def _check_places(page: Path, folders: dict[str, Path]) -> None:
    """Make the folders and touch the page: what cannot be written is said before the work, not after."""
    try:
        place = f"--output {page}"
        page.open("a", encoding="utf-8").close()
        for option, folder in folders.items():
            place = f"{option} {folder}"
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BatchlawError(f"{place}: {error.strerror or error}") from None


def _account(stored: "StoredStudy") -> "Account":
    """What is known of a study; a designed one that is not finished has no verdicts yet."""
    from batchlaw.claims.designed import findings_of
    from batchlaw.figures.accounts import Account
    from batchlaw.laws import known_laws
    from batchlaw.results.records import records_of
    from batchlaw.results.status import status_of
    from batchlaw.storage import with_retries

    judged: list[Block] = []
    lack = None
    records = with_retries(lambda: records_of(stored))
    if stored.spec.claim is not None:
        try:
            judged = findings_of(stored, None, seed=0, records=records)
        except StudyError as error:
            lack = str(error)
    laws = known_laws(stored.spec, records)
    return Account(status=status_of(stored), records=records, judged=judged, lack=lack, laws=laws)


def _figures(accounts: "list[Account]") -> "dict[str, Figure]":
    """Every figure by its name after that of its study."""
    from batchlaw.figures.comparison import comparison
    from batchlaw.figures.gallery import gallery

    compared = comparison([(account.spec, account.records) for account in accounts])
    drawn = {f"comparison-{name}": figure for name, figure in compared.items()}
    for account in accounts:
        figures = gallery(account.spec, account.records, account.judged, account.laws)
        drawn |= {f"{account.spec.name}-{name}": figure for name, figure in figures.items()}
    return drawn
