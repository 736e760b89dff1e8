"""A training function on several devices: torchrun starts a process on each of them, and each calls the function.

To its worker this is a program like any other (`batchlaw.objectives.program`): the first process prints what it reports
and returns, and a trial that is pruned, timed out or interrupted ends with all of its processes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from batchlaw.objectives.program import Command
from batchlaw.objectives.trial import Trial
from batchlaw.spec import StudySpec

_TRIAL = "trial.json"  # in the folder of a trial
_LAUNCHER = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node={devices}")


class Ranks:
    """The objective of a study whose function trains on several devices."""

    def __init__(self, spec: StudySpec, folder: Path) -> None:
        """Prepare the program; raises what `Command` raises.

        Args:
            spec: the study.
            folder: of its file.
        """
        self._spec = spec
        arguments = ("-m", "batchlaw.objectives.rank", f"{{run_dir}}/{_TRIAL}", str(folder).replace("{", "{{"))
        command = (*(spec.launcher or _LAUNCHER), *arguments)
        self._program = Command(spec.model_copy(update={"command": command}), folder)

    def close(self) -> None:
        """See `Command.close`."""
        self._program.close()

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """Train once; raises what `Command` raises."""
        known = {"spec": self._spec.model_dump_json(), "config": trial.config.model_dump_json()}
        (trial.run_dir / _TRIAL).write_text(json.dumps(known), encoding="utf-8")
        return self._program(trial)
