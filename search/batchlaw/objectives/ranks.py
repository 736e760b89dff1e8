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
ASKED = "asked-for-parts"  # beside it, where the function has asked how a batch is divided
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
        spec, asked = self._spec.model_copy(update={"micro_batch_size": trial.most_at_once}), trial.run_dir / ASKED
        known = {"spec": spec.model_dump_json(), "config": trial.config.model_dump_json()}
        (trial.run_dir / _TRIAL).write_text(json.dumps(known), encoding="utf-8")
        asked.unlink(missing_ok=True)
        try:
            return self._program(trial)
        finally:
            if asked.exists():
                trial.ask_for_parts()
