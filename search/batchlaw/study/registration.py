"""From a study file or keywords to a study in the database, with everything checked before anything is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlaw import __version__
from batchlaw.errors import BatchlawError, SpecError, check_whole
from batchlaw.spec import ASK, StudySpec, parse_spec, read_spec, tables_of
from batchlaw.study.arrays import keep
from batchlaw.study.code import Code, check_objective, objective_name

if TYPE_CHECKING:
    from batchlaw.objectives.trial import TrainFunction
    from batchlaw.spec.own_arrays import Arrays
    from batchlaw.storage import StoredStudy

_WITH_A_FILE = ("name", "trials", "objective")  # the keywords that may be given beside a study file


def spec_of(file: Path | None, keywords: Mapping[str, Any]) -> StudySpec:
    """The spec of a study file, under another name if one is given; or of keywords.

    Raises:
        SpecError: a rule is broken, or a keyword is given that belongs in the file.
    """
    objective = keywords.get("objective")
    if file is None:
        if callable(objective):
            keywords = {**keywords, "objective": objective_name(objective)}
        return parse_spec(tables_of(keywords), "Study.create")
    for name, value in keywords.items():
        if value is not None and name not in _WITH_A_FILE:
            raise SpecError("belongs in the study file", argument=name, got=value)
    spec = read_spec(file)
    check_objective(objective, spec)
    new_name = keywords.get("name")
    return spec if new_name is None else parse_spec(spec.model_dump(mode="json") | {"name": new_name}, "name")


def check_budget(spec: StudySpec, trials: int | None) -> None:
    """Make sure that a study may have this budget of trials in place of its own.

    Raises:
        BatchlawError: the study is designed, or the budget is below one trial.
    """
    if trials is not None and spec.claim is not None:
        raise BatchlawError("a designed study has one trial for each of its cells", argument="trials", got=trials)
    if trials is not None:
        check_whole(trials, "trials", at_least=1)


def check_program(spec: StudySpec, program: "TrainFunction", storage: str) -> None:
    """Check that all that a new study varies reaches its program, at every batch size.

    A study that is stored already may be of an earlier version, which did not ask for this.

    Raises:
        SpecError: something does not.
    """
    from batchlaw.objectives.program import Command
    from batchlaw.recipe.arguments import check_arguments, check_reaches
    from batchlaw.storage import is_stored

    assert isinstance(program, Command)
    try:
        check_reaches(spec, program.contents)
        check_arguments(spec, program.contents)
    except SpecError:
        if not is_stored(storage, spec.name):
            raise


def register_study(
    spec: StudySpec,
    code: Code,
    storage: str,
    *,
    trials: int | None,
    data_dir: Path | None,
    download: bool,
    new: bool,
    arrays: "Arrays | None" = None,
    warm_from: Sequence[str] = (),
) -> "StoredStudy":
    """Check all that can be checked, and then register the study; if it is already stored, open it.

    Args:
        spec: the study.
        code: its code.
        storage: URL of the database.
        trials: a budget in place of the spec's.
        data_dir: folder of the data sets.
        download: whether a missing data set may be downloaded.
        new: take the name from a study that had it formerly, instead of opening that.
        arrays: its data, if they came from Python; they are kept in `data_dir`.
        warm_from: the earlier studies and tables that a new search starts from; a stored one goes on as it is.

    Raises:
        SpecError: the space holds a configuration that cannot be trained.
        ObjectiveError: the code cannot be loaded.
        DataError: the data set is missing.
        StorageError: the database cannot be used.
        StudyError: the name is taken by another study.
    """
    from batchlaw.claims.hypotheses import preregistration
    from batchlaw.recipe.derive import check_space
    from batchlaw.storage import is_stored, open_storage, register

    check_space(spec)
    program = code.load(spec) if spec.named_code is not None and spec.objective != ASK else None
    if spec.task is not None:
        from batchlaw.data_files import prepare
        from batchlaw.objectives.folders import default_data_dir

        if arrays is not None:
            keep(arrays, data_dir or default_data_dir())
        prepare(spec.task, data_dir or default_data_dir(), download=download)
    check_budget(spec, trials)
    claims = preregistration(spec.claim) if spec.claim is not None else None
    if program is not None and spec.command is not None:
        check_program(spec, program, storage)
    from batchlaw.study.published_start import published_start  # imports numpy
    from batchlaw.study.warm_start import warm_start

    first = published_start(spec, trials)
    if warm_from and not is_stored(storage, spec.name, new=new):
        first = warm_start(warm_from, spec, storage, trials)
    database = open_storage(storage, create=True)
    return register(
        database, spec, trials=trials, version=__version__, preregistration=claims, new=new, first=first
    )  # fmt: skip
