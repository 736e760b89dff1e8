"""Figures as PNG and SVG files, which kaleido draws in a browser."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import plotly.graph_objects as go

from batchlaw.errors import BatchlawError
from batchlaw.figures.style import WIDTH

_SCALE = 3  # image pixels a px: 680 px × 3 over the 7 inches of a page are about 290 dots an inch


def check_images(kind: str) -> None:
    """Check that figures can be drawn as files.

    Args:
        kind: the argument that asks for them, "png" or "svg".

    Raises:
        BatchlawError: kaleido or a browser is missing.
    """
    try:
        import kaleido  # noqa: F401
        from choreographer.browsers.chromium import Chromium
    except ImportError:
        raise BatchlawError("needs kaleido: pip install 'batchlaw[figures]'", argument=kind) from None
    browser = Chromium.find_browser(skip_local=False)
    if browser is None or not os.access(browser, os.X_OK):
        found = f"BROWSER_PATH names {browser!r}, which cannot be run" if browser else "none was found"
        raise BatchlawError(
            f"needs Chrome or Chromium, and {found}: apt-get install chromium, or name one in BROWSER_PATH",
            argument=kind,
        )


def write_images(figures: dict[Path, go.Figure], written: Callable[[], None]) -> None:
    """Draw each figure into its file, in the format that its suffix names.

    Args:
        figures: by the paths of their files, in folders that exist; existing files are replaced.
        written: called after each file.
    """
    with ThreadPoolExecutor(1) as pool:  # apart from the event loop that a notebook runs in this thread
        pool.submit(asyncio.run, _write(figures, written)).result()


async def _write(figures: dict[Path, go.Figure], written: Callable[[], None]) -> None:
    from kaleido import Kaleido

    async with Kaleido(mathjax=False) as browser:  # MathJax would be fetched from the network
        for file, figure in figures.items():
            options = {
                "format": file.suffix[1:],
                "width": WIDTH,
                "height": figure.layout.height,
                "scale": _SCALE if file.suffix == ".png" else 1,
            }
            file.write_bytes(await browser.calc_fig(figure, opts=options))
            written()
