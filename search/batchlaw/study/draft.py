"""A first study file for a training script."""

from pathlib import Path

from batchlaw.errors import BatchlawError
from batchlaw.scripts import Draft, read_script, study_text
from batchlaw.study.files import StrPath, path_of


def init(script: StrPath, path: StrPath | None = None, *, seconds: float = 60.0) -> Draft:
    """Write a study file for a training script, by the flags that it takes.

    The script is asked for its `--help`, or for its configuration with Hydra or LightningCLI; nothing is trained. Usual
    flags, such as `--lr`, `--batch-size`, `--epochs` and `--seed`, become placeholders with ranges around their
    defaults. What the script does not tell is a question, in the file and in the result.

    Args:
        script: the script.
        path: of the study file; None takes the name of the script, in the working folder.
        seconds: after which a script that does not answer is ended.

    Returns:
        The text of the file, the questions that it leaves open, and the arguments that were recognised.

    Raises:
        DataError: the script cannot be read, or is no Python.
        BatchlawError: the file is there already, or cannot be written.
    """
    read = read_script(Path(script), seconds)
    target = path_of(path) or Path(f"{Path(script).stem}.toml")
    draft = study_text(read, target.parent)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    except FileExistsError:
        raise BatchlawError("is there already; nothing was written", argument="path", got=str(target)) from None
    except OSError as error:
        raise BatchlawError(error.strerror or str(error), argument="path", got=str(target)) from None
    return draft
