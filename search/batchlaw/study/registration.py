"""From a study file or keywords to a study in the database, with everything checked before anything is written."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchlaw import __version__
from batchlaw.errors import BatchlawError, ObjectiveError, SpecError, StudyError
from batchlaw.spec import ASK, StudySpec, differing_fields, parse_spec, read_spec, tables_of, toml_of

if TYPE_CHECKING:
    from batchlaw.objectives.runtime import Runtime
    from batchlaw.objectives.trial import TrainFunction
    from batchlaw.storage import StoredStudy

_WITH_A_FILE = ("name", "trials", "objective")  # the keywords that may stand beside a study file


@dataclass(frozen=True)
class Code:
    """Where this process finds the code of a study: in a function that it was given, or beside the study's file."""

    function: "TrainFunction | None" = None
    folder: Path | None = None  # from which worker processes import it; None: they cannot

    def load(self, spec: StudySpec) -> "TrainFunction | None":
        """The training function of a study; None of a built-in task.

        Raises:
            ObjectiveError: it cannot be found on this machine.
        """
        from batchlaw.objectives.function import load_user_code

        self.check(spec)
        if spec.user_code is None:
            return None
        if self.function is not None:
            return self.function
        assert self.folder is not None
        return load_user_code(spec, self.folder)

    def check(self, spec: StudySpec) -> None:
        """Make sure that this process may run the code of a study.

        Raises:
            ObjectiveError: there is none, or it is not known where it lies.
        """
        if spec.user_code is None:
            return
        if spec.objective == ASK:
            raise ObjectiveError(f"study {spec.name!r} has no training function: its trials are asked for and told")
        if self.function is None and self.folder is None:
            raise ObjectiveError(
                f"study {spec.name!r} runs {spec.user_code!r}; code is run only from a study file or a function on "
                "this machine",
                remedy="file",
            )

    def is_importable(self, spec: StudySpec) -> bool:
        """Whether worker processes can run the study."""
        return spec.user_code is None or self.folder is not None

    def runtime(self, spec: StudySpec, device: str, data_dir: Path | None, *, threads: int | None = None) -> "Runtime":
        """This process, ready to train trials of a study, with PyTorch at so many threads if a number is given.

        Raises:
            BatchlawError: the machine has no such device.
            ObjectiveError: the code cannot be found on this machine.
        """
        import torch

        from batchlaw.objectives.runtime import Runtime
        from batchlaw.train.data import default_data_dir
        from batchlaw.train.device import device_named

        if threads is not None:
            torch.set_num_threads(threads)
        return Runtime(device_named(device), data_dir or default_data_dir(), self.load(spec))

    @contextmanager
    def worker_arguments(self, spec: StudySpec) -> Iterator[list[str]]:
        """How worker processes are told of the study: by its name, or by a file where they run the user's code.

        Raises:
            ObjectiveError: no other process can import the code.
        """
        if spec.user_code is None:
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


def code_of(objective: object, file: Path | None) -> Code:
    """Where the code of a study lies: beside its file, in a function, or wherever Python imports it from."""
    if callable(objective):
        return Code(objective, _folder_of(objective))
    return Code(folder=Path.cwd() if file is None else file.resolve().parent)


def objective_name(function: Callable[..., Any]) -> str:
    """`module:function`, as a study records it.

    Raises:
        ObjectiveError: the function has no name of its own, such as a lambda.
    """
    name = f"{function.__module__}:{getattr(function, '__name__', type(function).__name__)}"
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise ObjectiveError(f"objective: {name!r} has no name of its own; define it with def")
    return name


def _folder_of(function: Callable[..., Any]) -> Path | None:
    """The folder from which another process can import a function; None where it cannot."""
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


def spec_of(file: Path | None, keywords: Mapping[str, Any]) -> StudySpec:
    """The spec of a file, under another name where one is given; or of keywords.

    Raises:
        SpecError: a rule is broken, or keywords are given that the file has.
    """
    objective = keywords.get("objective")
    if file is None:
        if callable(objective):
            keywords = {**keywords, "objective": objective_name(objective)}
        return parse_spec(tables_of(keywords), "Study.create")
    for name, value in keywords.items():
        if value is not None and name not in _WITH_A_FILE:
            raise SpecError(f"{name}: got {value!r}; the study file says it")
    spec = read_spec(file)
    check_objective(objective, spec)
    new_name = keywords.get("name")
    return spec if new_name is None else parse_spec(spec.model_dump(mode="json") | {"name": new_name}, "name")


def check_budget(spec: StudySpec, trials: int | None) -> None:
    """Make sure that a study may have another budget of trials than its own.

    Raises:
        BatchlawError: it is designed, or the budget is below one trial.
    """
    if trials is not None and spec.claim is not None:
        raise BatchlawError("a designed study has one trial for each of its cells", argument="trials", got=trials)
    if trials is not None and trials < 1:
        raise BatchlawError("must be at least 1", argument="trials", got=trials)


def code_for(stored: StudySpec, file: Path | None, objective: object, folder: Path | None = None) -> Code:
    """Where this machine has the code of a stored study.

    Args:
        stored: the study.
        file: its file on this machine.
        objective: its function in this process, if there is one.
        folder: of the code, in place of the file's.

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


def register_study(
    spec: StudySpec, code: Code, storage: str, *, trials: int | None, data_dir: Path | None, download: bool
) -> "StoredStudy":
    """Check all that can be checked, then write; a study that is stored already is gone on with.

    Args:
        spec: the study.
        code: where its code lies.
        storage: URL of the database.
        trials: a budget other than the spec's.
        data_dir: folder of the data sets.
        download: whether a missing data set may be downloaded.

    Raises:
        SpecError: the space holds a configuration that cannot be trained.
        ObjectiveError: the code cannot be loaded.
        DataError: the data set is missing.
        StorageError: the database cannot be used.
        StudyError: the name is taken by another study.
    """
    from batchlaw.claims.hypotheses import preregistration
    from batchlaw.recipe.derive import check_space
    from batchlaw.storage import open_storage, register

    check_space(spec)
    if spec.user_code is not None and spec.objective != ASK:
        code.load(spec)
    if spec.task is not None:
        from batchlaw.train.data import default_data_dir, prepare

        prepare(spec.task, data_dir or default_data_dir(), download=download)
    check_budget(spec, trials)
    claims = preregistration(spec.claim) if spec.claim is not None else None
    database = open_storage(storage, create=True)
    return register(database, spec, trials=trials, version=__version__, preregistration=claims)
