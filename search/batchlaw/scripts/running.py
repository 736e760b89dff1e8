"""Running a script to ask what it can be told."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def output_of(script: Path, arguments: Sequence[str], seconds: float) -> tuple[str, str | None]:
    """What `python SCRIPT ARGUMENTS` prints, and why it failed; None where it did not.

    It runs in its own folder, without an input, and is ended with all that it started when the time is over.
    """
    program = subprocess.Popen(
        [sys.executable, script.name, *arguments], cwd=script.parent, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", start_new_session=True,
        # Wide lines are not broken, and no colours are in between.
        env=os.environ | {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1", "TERM": "dumb"},
    )  # fmt: skip
    told = " ".join(["python", script.name, *arguments])
    try:
        output, errors = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return "", f"{told} took longer than {seconds:g} s; --seconds gives it more"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
    if program.returncode in (0, 1) and output.strip():  # absl prints its help and exits with 1
        return output, None
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return "", f"{told} ended with exit code {program.returncode}" + (f": {lines[-1]}" if lines else "")
