"""A hash of the user's code, by which a change of it during a study is noticed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from batchlaw.spec import StudySpec


def hash_of_code(spec: StudySpec, folder: Path) -> str:
    """A hash of the files of a study's code, 12 hexadecimal digits.

    These are the files that its command names, its templates, and the modules beside the script, the function or an
    optimizer.
    Packages that are imported from elsewhere are not among them.

    Args:
        spec: the study.
        folder: of its file.
    """
    found = hashlib.sha256()
    for file in sorted(set(_files(spec, folder))):
        try:
            content = file.read_bytes()
        except OSError:  # it has just been deleted
            continue
        found.update(f"{file.relative_to(folder) if file.is_relative_to(folder) else file}\n{len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:12]


def _files(spec: StudySpec, folder: Path) -> Iterator[Path]:
    for name in (*([] if spec.objective is None else [spec.objective]), *spec.own_optimizers):
        yield from folder.joinpath(*name.partition(":")[0].split(".")[:-1]).glob("*.py")
    if spec.objective is not None:
        return
    place = folder / Path(spec.folder or ".").expanduser()
    words = [word for key in (spec.command, spec.score_command) for word in key or () if isinstance(word, str)]
    scripts = [place / word for word in words if not word.startswith("-") and "{" not in word]
    for script in scripts:
        if script.is_file() and script.is_relative_to(place):
            yield script
            yield from script.parent.glob("*.py")
    yield from (place / source for source in spec.files.values() if (place / source).is_file())
