"""A training function of the user's own: found by its name, and called once for each seed."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from batchlaw.errors import DeviceMemoryError, Diverged, ObjectiveError
from batchlaw.objectives.memory import tells_lack_of_memory
from batchlaw.objectives.program import Command
from batchlaw.objectives.ranks import Ranks
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.score import Score, finite_metric, is_mapping, numbers_of, score_of_replicates
from batchlaw.objectives.surroundings import kept
from batchlaw.objectives.trial import TrainFunction, Trial
from batchlaw.recipe.result import Report
from batchlaw.spec import StudySpec, TrainConfig

# In a claim: if so many seeds of a cell diverge, the first ones, the others are not trained. Assumption: another seed
# of such a cell seldom trains, and a cell with diverged seeds is no optimum anyway.
_ENOUGH_DIVERGED = 2


def load_user_code(spec: StudySpec, folder: Path) -> TrainFunction:
    """The function or the program of a study, from the folder of its file.

    Raises:
        ObjectiveError: the function cannot be imported, or is none.
    """
    if spec.objective is None:
        return Command(spec, folder)
    function = load_function(spec.objective, folder)
    return function if spec.devices == 1 else Ranks(spec, folder)


def load_function(name: str, folder: Path) -> TrainFunction:
    """The training function `package.module:function`; see `load_named`."""
    function = load_named("objective", name, folder)

    def train(trial: Trial) -> Mapping[str, float]:
        with importable(folder):  # for imports within the function, and in processes that it starts
            metrics: Mapping[str, float] = function(trial)
            return metrics

    return train


def load_named(what: str, name: str, folder: Path) -> Callable[..., Any]:
    """Import `package.module:name`. Installed packages win over modules of the same name in the folder.

    Args:
        what: it is, as errors say: "objective" or "optimizer".
        name: of a function or a class.
        folder: of the study file.

    Raises:
        ObjectiveError: it cannot be imported, or is no function.
    """
    module_name, _, function_name = name.partition(":")
    if module_name == "__main__":
        raise ObjectiveError(f"{what}: {name!r} was defined in a notebook or a script and runs in that process only")
    try:
        with importable(folder):
            _unload_namesakes(folder)
            importlib.invalidate_caches()  # the file may be new
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise ObjectiveError(f"{what}: {name!r} cannot be imported from {folder}: {error_line(error)}") from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        found = "nothing" if function is None else f"an object of type {type(function).__name__}"
        where = f"{module_name!r} is {getattr(module, '__file__', 'a part of Python')}, looked for in {folder}"
        raise ObjectiveError(f"{what}: {name!r} names {found}, not a function; {where}")
    return function


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Modules of a folder can be imported in here, unless an installed package has the name."""
    entry = os.path.join(folder, "")  # noqa: PTH118  (a string of its own, so that no other entry is taken away)
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path[:] = [each for each in sys.path if each is not entry]


def _unload_namesakes(folder: Path) -> None:
    """Unload modules that were imported from the folder of another study and have the name of one in this folder."""
    for top in {entry.stem for entry in folder.iterdir()} & sys.modules.keys():
        found = PathFinder.find_spec(top)
        origin = found.origin if found else None
        if origin and Path(origin).is_relative_to(folder) and getattr(sys.modules[top], "__file__", None) != origin:
            for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
                del sys.modules[name]


def train_function(
    config: TrainConfig,
    spec: StudySpec,
    report: Report,
    runtime: Runtime,
    folder: Path,
    *,
    number: int = 0,
    notes: dict[str, Any] | None = None,
) -> Score:
    """Call the user's function or program once for each seed; the first call alone reports, so pruning sees one curve.

    In a search the first seed that diverges ends the trial. In a claim the others are trained, unless the first two
    diverged: then the rest are not trained and count as diverged.

    Args:
        config: with the seeds of all replicates.
        spec: the study.
        report: of the first replicate.
        runtime: with the function.
        folder: where the folders of the replicates are made.
        number: of the trial.
        notes: gets what is stored with the trial beside its result, of the last replicate.

    Raises:
        Diverged: a replicate of a search diverged.
        ObjectiveError: the function breaks its contract.
    """
    assert runtime.objective is not None
    told: list[Mapping[str, float] | Diverged] = []
    n_diverged, parts = 0, None
    for seed in config.seeds:
        trial = Trial(
            config.model_copy(update={"seeds": (seed,)}), report, folder, number=number, notes=notes,
            devices=spec.devices, micro_batch_size=spec.micro_batch_size,
        )  # fmt: skip
        try:
            told.append(_metrics(runtime, trial, spec))
        except Diverged as ending:
            if spec.search is not None:
                raise
            told.append(Diverged(ending.untrained))  # without its traceback, which holds the network
            n_diverged += 1
        except DeviceMemoryError as error:
            error.micro_batch_size = trial.parts and trial.parts[0]
            raise
        parts = trial.parts
        if n_diverged == len(told) == _ENOUGH_DIVERGED:
            break
        report = partial(_check, spec)
    not_trained = len(config.seeds) - len(told)
    score = score_of_replicates(told + told[-1:] * not_trained, spec, runtime.device.type, not_trained=not_trained)
    if parts is not None:
        score.record["micro_batch_size"], score.record["grad_accum_steps"] = parts
    return score


def _metrics(runtime: Runtime, trial: Trial, spec: StudySpec) -> Mapping[str, float]:
    """The metrics of one replicate.

    Raises:
        Diverged: the study's metric is NaN or infinite.
        DeviceMemoryError: memory ran out.
        ObjectiveError: the function breaks its contract.
    """
    try:
        assert runtime.objective is not None
        with kept(runtime.reopen):
            metrics = runtime.objective(trial)
    except SystemExit as error:  # which would end the worker
        raise ObjectiveError(f"{spec.user_code} called sys.exit({error.code!r}) and returned nothing") from error
    except (RuntimeError, MemoryError) as error:  # those of PyTorch and JAX are RuntimeErrors
        if tells_lack_of_memory(f"{type(error).__name__}: {error}"):
            raise DeviceMemoryError(error_line(error)) from error
        raise
    if not is_mapping(metrics):
        raise ObjectiveError(f"{spec.user_code} returned {type(metrics).__name__}, not a mapping of metrics")
    finite_metric(metrics, spec)
    return numbers_of(metrics)


def _check(spec: StudySpec, progress: float, metrics: Mapping[str, float]) -> None:
    """The report of every replicate after the first: it is not recorded, and tells divergence all the same."""
    finite_metric(metrics, spec)


def error_line(error: BaseException) -> str:
    """An error of the user's code in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
