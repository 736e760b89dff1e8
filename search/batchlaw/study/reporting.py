"""Reports of one study or several, and their figures as images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from plotly.graph_objects import Figure

from batchlaw.errors import BatchlawError
from batchlaw.figures.accounts import Account, account_of
from batchlaw.figures.comparison import comparison
from batchlaw.figures.gallery import gallery
from batchlaw.figures.images import check_images, write_images
from batchlaw.figures.report import study_report
from batchlaw.storage import StoredStudy
from batchlaw.study.files import write_text

Step = Callable[[str, int], None]  # what is done next, and how many there are; called before each


@dataclass(frozen=True)
class Report:
    """What was written."""

    page: Path
    images: tuple[Path, ...]
    unjudged: Mapping[str, str]  # designed studies without verdicts, and why


def write_report(
    studies: Sequence[StoredStudy],
    page: Path,
    *,
    png: Path | None = None,
    svg: Path | None = None,
    step: Step = lambda what, total: None,
) -> Report:
    """Write studies into one HTML file, which needs no network, and every figure into folders of images.

    Args:
        studies: of which several are compared.
        page: the HTML file.
        png: folder of the figures as PNG.
        svg: folder of the figures as SVG.
        step: told of every step, for a progress bar.

    Raises:
        BatchlawError: a file cannot be written, or images cannot be drawn on this machine.
    """
    folders = {kind: folder for kind, folder in (("png", png), ("svg", svg)) if folder is not None}
    for kind in folders:
        check_images(kind)
    check_places(page, folders)
    accounts: list[Account] = []
    for study in studies:
        step("reading and judging", len(studies))
        accounts.append(account_of(study))
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_text(page, study_report(accounts, written=written))
    drawn = _figures(accounts) if folders else {}
    images = {folder / f"{name}.{kind}": figure for name, figure in drawn.items() for kind, folder in folders.items()}
    if images:
        write_images(images, lambda: step("drawing figures", len(images)))
    lacks = {account.spec.name: account.lack for account in accounts if account.lack}
    return Report(page, tuple(images), lacks)


def check_places(page: Path, folders: dict[str, Path]) -> None:
    """Make the folders and touch the page: what cannot be written is said before the work, not after."""
    places: dict[str, Path] = {"path": page, **folders}
    for argument, place in places.items():
        try:
            if argument == "path":
                place.open("a", encoding="utf-8").close()
            else:
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BatchlawError(error.strerror or str(error), argument=argument, got=str(place)) from None


def _figures(accounts: Sequence[Account]) -> dict[str, Figure]:
    """Every figure by its name after that of its study."""
    compared = comparison([(account.spec, account.records) for account in accounts])
    drawn = {f"comparison-{name}": figure for name, figure in compared.items()}
    for account in accounts:
        figures = gallery(account.spec, account.records, account.judged, account.laws)
        drawn |= {f"{account.spec.name}-{name}": figure for name, figure in figures.items()}
    return drawn
