"""A training function on several devices: torchrun starts a process on each of them, and each calls the function.

To its worker this is a program like any other (`batchlaw.objectives.program`): the first process prints what it reports
and returns, and a trial that is pruned, timed out or interrupted ends with all of its processes.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from batchlaw.errors import ObjectiveError
from batchlaw.objectives.program import Command
from batchlaw.objectives.trial import Trial
from batchlaw.spec import StudySpec

_TRIAL = "trial.json"  # in the folder of a trial
ASKED = "asked-for-parts"  # beside it, where the function has asked how a batch is divided
_TORCHRUN = (sys.executable.replace("{", "{{"), "-m", "torch.distributed.run")
ON_NODES = "BATCHLAW_ON_NODES"  # in the environment: what runs the command behind it on each node of a trial


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
        command = (*(spec.launcher or _launcher(spec)), *arguments)
        self._program = Command(spec.model_copy(update={"command": command}), folder)

    def close(self) -> None:
        """See `Command.close`."""
        self._program.close()

    def __call__(self, trial: Trial) -> Mapping[str, float]:
        """Train once; raises what `Command` raises."""
        check_launcher(self._spec)
        spec, asked = self._spec.model_copy(update={"micro_batch_size": trial.most_at_once}), trial.run_dir / ASKED
        known = {"spec": spec.model_dump_json(), "config": trial.config.model_dump_json()}
        (trial.run_dir / _TRIAL).write_text(json.dumps(known), encoding="utf-8")
        asked.unlink(missing_ok=True)
        try:
            return self._program(trial)
        finally:
            if asked.exists():
                trial.ask_for_parts()


def check_launcher(spec: StudySpec) -> None:
    """Make sure that the trials of a study can be started from this process.

    Raises:
        ObjectiveError: they are on several nodes, and nothing starts processes there.
    """
    if spec.objective is not None and spec.nodes > 1 and spec.launcher is None and ON_NODES not in os.environ:
        raise ObjectiveError(
            f"nodes: got {spec.nodes}; start workers by `batchlaw launch --on slurm` or `--on ray`, or give a launcher"
        )


def _launcher(spec: StudySpec) -> tuple[str, ...]:
    """What starts a function on the devices of a study: templates, one argument each."""
    if spec.nodes == 1:
        return (*_TORCHRUN, "--standalone", "--nproc-per-node={devices}")
    # The same on each node: the processes find one another, and their ranks, at the rendezvous.
    return (
        *shlex.split(os.environ.get(ON_NODES, "")), *_TORCHRUN, f"--nnodes={spec.nodes}",
        f"--nproc-per-node={spec.devices // spec.nodes}", "--rdzv-backend=c10d", "--rdzv-endpoint={rendezvous}",
        "--rdzv-id={trial}",
    )  # fmt: skip
