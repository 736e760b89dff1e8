"""Where this machine has the code of a study."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchlaw.errors import ObjectiveError, SpecError, StudyError
from batchlaw.spec import ASK, StudySpec, differing_fields, read_spec, toml_of

if TYPE_CHECKING:
    import torch

    from batchlaw.objectives.machine_device import MachineDevice
    from batchlaw.objectives.runtime import Runtime
    from batchlaw.objectives.trial import TrainFunction
    from batchlaw.storage import StoredStudy


@dataclass(frozen=True)
class Code:
    """The code of a study: a function of this process, or what can be imported from a folder."""

    function: "TrainFunction | None" = None
    folder: Path | None = None  # None: other processes cannot import the code

    def load(self, spec: StudySpec) -> "TrainFunction | None":
        """The training function of a study; None of a built-in task.

        Raises:
            ObjectiveError: it cannot be found on this machine.
        """
        from batchlaw.objectives.function import load_user_code

        self.check(spec)
        if spec.own_optimizers and self.folder is not None:
            from batchlaw.objectives.own_optimizers import load_optimizers

            load_optimizers(spec, self.folder)
        if spec.user_code is None:
            return None
        if self.function is not None and spec.devices == 1:
            return self.function
        if self.folder is None:
            raise ObjectiveError(f"devices: got {spec.devices}; other processes cannot import {spec.objective!r}")
        return load_user_code(spec, self.folder)

    def check(self, spec: StudySpec) -> None:
        """Make sure that this process has the code of a study.

        Raises:
            ObjectiveError: the study has none, or neither a function nor a folder is known.
        """
        if spec.named_code is None:
            return
        if spec.objective == ASK:
            raise ObjectiveError(f"study {spec.name!r} has no training function: its trials are asked for and told")
        if self.function is None and self.folder is None:
            raise ObjectiveError(
                f"study {spec.name!r} runs {spec.named_code!r}; code is run only from a study file or a function on "
                "this machine",
                remedy="file",
            )

    def is_importable(self, spec: StudySpec) -> bool:
        """Whether worker processes can run the study."""
        return spec.named_code is None or self.folder is not None

    def runtime(
        self,
        spec: StudySpec,
        device: str,
        data_dir: Path | None,
        *,
        threads: int | None = None,
        stored: "StoredStudy | None" = None,
    ) -> "Runtime":
        """What trials of a study need of this process.

        Args:
            spec: the study.
            device: to train on.
            data_dir: folder of the data sets; None takes the default.
            threads: of the CPU, as the user chose; None takes OMP_NUM_THREADS, or else as many as pay.
            stored: the study in its database, whose workers on this machine share the cores.

        Raises:
            BatchlawError: this machine has no such device.
            ObjectiveError: the code cannot be found on this machine.
        """
        from batchlaw.objectives.code_hash import hash_of_code
        from batchlaw.objectives.folders import default_data_dir
        from batchlaw.objectives.runtime import Runtime
        from batchlaw.objectives.threads import Threads
        from batchlaw.storage import other_pids

        objective = self.load(spec)
        where = device_for(spec, device)
        of_process = Threads() if threads is None else Threads(threads)
        if stored is not None:
            of_process.others = partial(other_pids, stored.storage.engine)
        data_dir = data_dir or default_data_dir()
        found = Runtime(where, data_dir, objective, threads=of_process, code_folder=self.folder)
        if spec.named_code is None or self.folder is None:
            return found
        if spec.command is not None:  # which starts its script anew for each trial
            return replace(found, code_hash=partial(hash_of_code, spec, self.folder))
        loaded = hash_of_code(spec, self.folder)
        return replace(found, code_hash=lambda: loaded)

    @contextmanager
    def worker_arguments(self, spec: StudySpec) -> Iterator[list[str]]:
        """The arguments that name a study to worker processes: its name, or a file where they run the user's code.

        Raises:
            ObjectiveError: no other process can import the code.
        """
        if spec.named_code is None:
            yield [spec.name]
            return
        self.check(spec)
        if self.folder is None:
            raise ObjectiveError(
                f"objective: {spec.objective!r} cannot be imported by worker processes; put the function into a "
                "module, or run it in this process with workers=0"
            )
        with TemporaryDirectory(prefix="batchlaw-") as folder:
            file = Path(folder, f"{spec.name}.toml")
            file.write_text(toml_of(spec), encoding="utf-8")
            yield [str(file), "--folder", str(self.folder)]


def device_for(spec: StudySpec, name: str) -> "torch.device | MachineDevice":
    """The device on which this process trains a study; code of the user's own may do without PyTorch.

    Raises:
        BatchlawError: this machine has no such device.
    """
    if spec.user_code is not None and "torch" not in sys.modules:
        from batchlaw.objectives.machine_device import machine_device

        return machine_device(name)
    from batchlaw.train.device import device_named

    return device_named(name)


def code_of(objective: object, file: Path | None) -> Code:
    """The code of a study that is created: its function, or what lies beside its file or in the working folder."""
    if callable(objective):
        return Code(objective, _folder_of(objective))
    return Code(folder=Path.cwd() if file is None else file.resolve().parent)


def objective_name(function: Callable[..., Any]) -> str:
    """`module:function`, as a study records it.

    Raises:
        ObjectiveError: it has no name, such as a lambda.
    """
    name = f"{function.__module__}:{getattr(function, '__name__', '')}"
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise ObjectiveError("must be a function that is defined with def", argument="objective", got=function)
    return name


def _folder_of(function: Callable[..., Any]) -> Path | None:
    """The folder from which other processes can import a function; None where they cannot."""
    module: ModuleType | None = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__":
        return None
    if getattr(module, getattr(function, "__name__", ""), None) is not function:
        return None  # defined inside another function
    path = Path(file).resolve()
    depth = module.__name__.count(".") + (path.stem == "__init__")
    return path.parents[depth]


def check_objective(objective: object, spec: StudySpec) -> None:
    """Make sure that a function is the one that a study names.

    Raises:
        SpecError: it has another name.
    """
    if callable(objective) and objective_name(objective) != spec.objective:
        raise SpecError(
            f"study {spec.name!r} names {spec.user_code!r}", argument="objective", got=objective_name(objective)
        )


def code_for(stored: StudySpec, file: Path | None, objective: object, folder: Path | None = None) -> Code:
    """The code of a study that is stored.

    Args:
        stored: the study.
        file: its file on this machine, if there is one.
        objective: its function in this process, if there is one.
        folder: of the code, if it does not lie beside the file.

    Raises:
        SpecError: the function is not the one that the study names.
        StudyError: the file is not that of the study.
    """
    check_objective(objective, stored)
    if file is None and objective is None:
        return Code()
    if file is not None and (differing := differing_fields(stored, read_spec(file))):
        raise StudyError(f"{file} is not the file of study {stored.name!r}; {'; '.join(differing)}")
    code = code_of(objective, file)
    return code if folder is None else replace(code, folder=folder)
