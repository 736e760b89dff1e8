"""Texts whose bytes are tokens: a file of the user's own, and the source of the standard library."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from batchlaw.errors import DataError
from batchlaw.spec.datasets import BYTES, OwnData

_TEST_SHARE = 10  # one byte in so many, the last ones, is test data
# Folders of the standard library that not every machine has, or that hold tests.
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "__pycache__"}


def read_text(path: Path) -> bytes:
    """The bytes of a text file.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        content.decode()
    except OSError as error:
        raise DataError(f"task.file: {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"task.file: {path} must be UTF-8; its byte {error.start} is not") from None
    if len(content) < 2 * _TEST_SHARE:
        raise DataError(f"task.file: {path}: got {len(content)} bytes; must have at least {2 * _TEST_SHARE}")
    return content


def facts_of_text(content: bytes) -> OwnData:
    """What is known of a text."""
    n_test = len(content) // _TEST_SHARE
    return OwnData(
        sha256=hashlib.sha256(content).hexdigest(),
        n_train=len(content) - n_test,
        n_test=n_test,
        n_classes=BYTES,
        shape=(),
    )


@cache
def python_source() -> bytes:
    """The standard library of this interpreter, in a fixed order that mixes its packages.

    A file is placed by the SHA-256 of its path, so that training, validation and test part are alike.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(_sources(root), key=lambda path: hashlib.sha256(path.encode()).digest())
    return b"".join((root / path).read_bytes() for path in paths)


def _sources(root: Path) -> Iterator[str]:
    """The paths of its files below the library's folder."""
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in _LEFT_OUT]
        yield from (Path(folder, name).relative_to(root).as_posix() for name in files if name.endswith(".py"))
