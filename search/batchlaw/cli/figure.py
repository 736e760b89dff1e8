"""The figure of a law in the terminal."""

from typing import TYPE_CHECKING, Annotated

import typer

from batchlaw.cli.console import output

if TYPE_CHECKING:
    from batchlaw.laws import Law

FigureOption = Annotated[
    bool | None,
    typer.Option(
        "--figure/--no-figure",
        help="Draw the best rate by batch size as text; without either, on a terminal of 80 columns or more.",
    ),
]


def show_law(law: "Law", figure: bool | None, answer: tuple[int, float] | None = None) -> None:
    """Print the figure of a law, if it is wanted and there is one.

    Args:
        law: to draw.
        figure: whether it is wanted; None: on a wide terminal.
        answer: the batch size and the peak learning rate to use.
    """
    from batchlaw.figures.terminal import NEEDED, SIGNS, law_text

    if figure is None:
        figure = output.is_terminal and output.width >= NEEDED
    if not figure:
        return
    try:
        "".join(SIGNS.values()).encode(output.encoding)
        plain = output.legacy_windows
    except UnicodeEncodeError:
        plain = True
    if (text := law_text(law, answer, plain=plain)) is not None:
        output.print(text)
