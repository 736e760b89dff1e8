"""The command init."""

from pathlib import Path
from typing import Annotated

import typer

from batchlaw.cli.console import bounded, errors, output


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog="Example: batchlaw init train.py")(init)


def init(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT.py", help="A training script.")],
    file: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The study file; SCRIPT.toml, here.")
    ] = None,
    seconds: Annotated[float, bounded("--seconds", 0.1, 3600, "How long the script may take to answer.")] = 60.0,
) -> None:
    """Write a study file for a training script, by its flags; nothing is trained, and no file is overwritten."""
    from batchlaw.study.draft import init as write

    target = file or Path(f"{script.stem}.toml")
    draft = write(script, target, seconds=seconds)
    for argument in draft.placed:
        output.print(f"  {argument}", soft_wrap=True, markup=False, highlight=False)
    for note in draft.notes:
        errors.print(f"note: {note}", soft_wrap=True, markup=False)
    for question in draft.questions:
        errors.print(f"? {question}", soft_wrap=True, markup=False)
    output.print(f"wrote {target}; look at it, and then:  batchlaw try {target}", soft_wrap=True, markup=False)
