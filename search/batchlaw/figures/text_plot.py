"""A plot made of characters: dots on a fine grid of braille, and marks of one character each, on logarithmic axes."""

from collections.abc import Sequence
from math import ceil, floor, log2, log10

from rich.text import Text

_ACROSS, _DOWN = 2, 4  # dots of a character of braille
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, then by row from the top
_BRAILLE = 0x2800
_BETWEEN = 6  # characters of a tick's label and the blank after it


class TextPlot:
    """Numbers above zero on two logarithmic axes."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], *, width: int, height: int, plain: bool = False
    ) -> None:
        """Begin an empty plot.

        Args:
            x: the ends of the horizontal axis.
            y: the ends of the vertical axis.
            width: of the plot in characters, without the labels of its axes.
            height: likewise, in lines.
            plain: draw with ASCII alone.
        """
        self._x, self._y, self._width, self._height, self._plain = x, y, width, height, plain
        self._dots: dict[tuple[int, int], int] = {}  # by line and column, the dots of a character
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}  # likewise, a character and its style
        self._styles: dict[tuple[int, int], str] = {}  # of the dots

    def dots(self, x: Sequence[float], y: Sequence[float], style: str) -> int:
        """Draw small dots; those that are drawn later have their style where two fall on one character.

        Returns:
            How many lie outside of the plot and are left out.
        """
        left_out = 0
        for across, down in zip(x, y, strict=True):
            if not (self._x[0] <= across <= self._x[1] and self._y[0] <= down <= self._y[1]):
                left_out += 1
                continue
            column, row = self._place(across, down, self._width * _ACROSS, self._height * _DOWN)
            cell = (row // _DOWN, column // _ACROSS)
            self._dots[cell] = self._dots.get(cell, 0) | _BITS[column % _ACROSS][row % _DOWN]
            self._styles[cell] = style
        return left_out

    def mark(self, x: float, y: float, sign: str, style: str) -> None:
        """Draw one character, over everything that is there."""
        column, row = self._place(x, y, self._width, self._height)
        self._marks[row, column] = (sign, style)

    def bar(self, x: float, low: float, high: float, sign: str, style: str) -> None:
        """Draw a character on every line between two heights."""
        column, bottom = self._place(x, low, self._width, self._height)
        for row in range(self._place(x, high, self._width, self._height)[1], bottom + 1):
            self._marks[row, column] = (sign, style)

    def _place(self, x: float, y: float, width: int, height: int) -> tuple[int, int]:
        """Column and row from the top; what lies outside is put at the edge."""
        shares = (log2(value / low) / log2(high / low) for value, (low, high) in ((x, self._x), (y, self._y)))
        across, up = (min(max(share, 0.0), 1.0) for share in shares)
        return min(int(across * width), width - 1), min(int((1 - up) * height), height - 1)

    def lines(self, x_ticks: Sequence[float]) -> list[Text]:
        """The lines of the plot, with decades at the left, and below it those of these places that have room."""
        labels = self._decades()
        margin = max(map(len, labels.values()), default=1)
        edge, corner, level = ("|", "+", "-") if self._plain else ("│", "└", "─")
        found = []
        for row in range(self._height):
            line = Text(f"{labels.get(row, ''):>{margin}} {edge}")
            for column in range(self._width):
                line.append(*self._character(row, column))
            found.append(line)
        found.append(Text(f"{'':>{margin}} {corner}{level * self._width}"))
        below = [" "] * (self._width + _BETWEEN)
        taken = -1
        for tick in x_ticks:
            column, label = self._place(tick, self._y[0], self._width, self._height)[0], f"{tick:g}"
            first = max(column - len(label) // 2, 0)
            if first > taken:
                below[first : first + len(label)] = label
                taken = first + len(label)
        found.append(Text(f"{'':>{margin}}  {''.join(below).rstrip()}"))
        return found

    def _character(self, row: int, column: int) -> tuple[str, str]:
        if (mark := self._marks.get((row, column))) is not None:
            return mark
        if bits := self._dots.get((row, column)):
            return "." if self._plain else chr(_BRAILLE + bits), self._styles[row, column]
        return " ", ""

    def _decades(self) -> dict[int, str]:
        """The labels of the vertical axis by their lines: powers of ten, halved where there are fewer than three."""
        low, high = self._y
        powers = [10.0**power for power in range(ceil(log10(low)), floor(log10(high)) + 1)]
        if len(powers) < 3:
            more = [factor * 10.0**power for power in range(floor(log10(low)), ceil(log10(high))) for factor in (2, 5)]
            powers = sorted([*powers, *(value for value in more if low <= value <= high)])
        return {self._place(self._x[0], value, self._width, self._height)[1]: f"{value:g}" for value in powers}
