"""Files that a user asks for."""

from os import PathLike
from pathlib import Path

from batchlaw.errors import BatchlawError
from batchlaw.shared_files import write_whole

StrPath = str | PathLike[str]


def path_of(given: StrPath | None) -> Path | None:
    """A path, if one was given."""
    return None if given is None else Path(given)


def write_text(path: StrPath, text: str, *, argument: str = "path") -> None:
    """Write a text file.

    Args:
        path: of the file; an existing one is replaced, as a whole.
        text: to write, in UTF-8.
        argument: by which the user named the file, for the error.

    Raises:
        BatchlawError: it cannot be written.
    """
    try:
        write_whole(Path(path), text)
    except OSError as error:
        raise BatchlawError(error.strerror or str(error), argument=argument, got=str(path)) from None
