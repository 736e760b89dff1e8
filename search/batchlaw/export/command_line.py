"""The command form of an export: the filled-in command line of a program, to paste into a shell."""

import shlex

from batchlaw.errors import BatchlawError
from batchlaw.export.provenance import Provenance
from batchlaw.export.refusal import refused
from batchlaw.recipe.arguments import arguments_of, filler, values_of
from batchlaw.spec import StudySpec, TrainConfig


def command_line(spec: StudySpec, config: TrainConfig, provenance: Provenance) -> str:
    """The command, quoted for a POSIX shell, below comments; files of the run go to `runs/STUDY-TRIAL`.

    Raises:
        BatchlawError: the study runs no command, or the command has no value for this configuration.
    """
    if spec.command is None:
        raise refused("command", "command", None, "only a study of a program has a command line")
    run_dir = f"runs/{spec.name}-{provenance.trial}"
    values = values_of(config, spec, trial=provenance.trial, run_dir=run_dir)
    fill = filler(values, spec)
    words = arguments_of(spec.command, values, spec)
    variables = {name: fill(text, f"environment.{name}") for name, text in spec.environment.items()}
    if any("\0" in word for word in words):
        raise BatchlawError("a part of the command has a null byte", argument="format", got="command")
    notes = [f"# write {fill(target, 'files')} from {source} first" for target, source in spec.files.items()]
    if spec.folder is not None:
        notes.append(f"# in {spec.folder}, from the folder of the study file")
    line = shlex.join(words)
    if variables:
        line = " ".join(["env", *(shlex.quote(f"{name}={value}") for name, value in variables.items()), line])
    return provenance.comment() + "".join(f"{' '.join(note.split())}\n" for note in notes) + line
