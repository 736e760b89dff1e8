"""Files in folders that other users may write to: written whole or not at all, and never through a link of theirs."""

import os
import stat
import uuid
from pathlib import Path

from batchlaw.errors import BatchlawError

_TRUSTED = {0}  # root may do as it likes anyway


def check_link(path: Path) -> None:
    """Refuse a path that leads through another user's link, or lies in a link's place.

    Raises:
        BatchlawError: names the path.
    """
    for place in (path, *path.parents):
        try:
            found = place.lstat()
        except OSError:
            continue
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in _TRUSTED | {os.geteuid()}:
            raise BatchlawError(f"{str(place)!r} is a link of another user; it is not followed")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under another name first, so that nobody reads half of it; with the user's umask.

    Args:
        path: of the file. One of the user's own links is followed; a pipe or a device is written to as it is.
        content: to write, a text in UTF-8.

    Raises:
        OSError: it cannot be written.
        BatchlawError: the path leads through a link of another user.
    """
    check_link(path)
    path = path.resolve()
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    unfinished = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
        if path.exists():
            unfinished.chmod(stat.S_IMODE(path.stat().st_mode))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
