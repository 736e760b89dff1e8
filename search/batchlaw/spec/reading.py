"""From a study file to a `StudySpec`, and from a `StudySpec` to its canonical JSON and fingerprint."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, get_args

import tomli_w
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from batchlaw.errors import DataError, SpecError
from batchlaw.spec.base import Frozen
from batchlaw.spec.datasets import is_own, without_folder
from batchlaw.spec.own_data import read_own_data
from batchlaw.spec.program import PART_TAGS, with_optimizer
from batchlaw.spec.study import StudySpec

_SYNONYMS = {
    "min": "low", "minimum": "low", "from": "low", "start": "low", "lower": "low",
    "max": "high", "maximum": "high", "to": "high", "stop": "high", "upper": "high",
    "lr": "base_lr", "learning_rate": "base_lr", "bs": "batch_size", "scale": "log",
    "gpus_per_trial": "devices", "devices_per_trial": "devices", "gpus": "devices",
    "nodes_per_trial": "nodes", "num_nodes": "nodes", "nnodes": "nodes",
    "max_micro_batch_size": "micro_batch_size",
}  # fmt: skip
_MOST_BYTES = 1_000_000  # of a study file; a thousand times the longest of ours
_TAGS = {"one", "choices", "range", *PART_TAGS}  # kinds of a dimension; pydantic adds them to the path of an error


def read_spec(path: Path) -> StudySpec:
    """Read and validate a study file.

    Raises:
        SpecError: the file cannot be read, is not TOML, or breaks a rule; one line with field, value and bound.
    """
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):  # a pipe would be waited for
            raise SpecError(f"{path}: is a folder" if S_ISDIR(status.st_mode) else f"{path}: is no regular file")
        if status.st_size > _MOST_BYTES:
            raise SpecError(f"{path}: has {status.st_size:,} bytes; must have at most {_MOST_BYTES:,}")
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin with a mark
    except FileNotFoundError:
        raise SpecError(f"{path}: there is no such file{_file_like(path)}") from None
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise SpecError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # of TOML, of the encoding, of a number with thousands of digits, of the path
        raise SpecError(f"{path}: not valid TOML: {error}") from None
    return parse_spec(table, str(path), path.parent)


def _file_like(path: Path) -> str:
    """A hint at the file that was meant, if a study's name was given."""
    if path.suffix == ".toml":
        return ""
    for found in (path.with_name(f"{path.name}.toml"), Path("studies", f"{path.name}.toml")):
        if found.is_file():
            return f"; did you mean {found}?"
    return "; this command takes the file of a study, such as studies/digits-joint.toml"


def parse_spec(table: dict[str, Any], origin: str, folder: Path = Path()) -> StudySpec:
    """Validate a study given as nested tables.

    Args:
        table: the study.
        origin: names it in errors.
        folder: from which the paths of its own data start.

    Raises:
        SpecError: it breaks a rule, or its data cannot be read.
    """
    claim = table.get("claim")
    if isinstance(claim, dict) and "pruner" in claim:
        pruner = claim["pruner"]
        raise SpecError(f"{origin}: claim.pruner: a claim arm is never pruned and stands alone; got {pruner!r}")
    try:
        table = _with_own_data(table, folder)
    except DataError as error:
        raise SpecError(f"{origin}: {error}") from None
    table = _with_present_names(table)
    try:
        # Through JSON, as stored specs are read; only then does strict validation accept lists for tuples.
        return StudySpec.model_validate_json(json.dumps(with_optimizer(table), default=str))
    except RecursionError:
        raise SpecError(f"{origin}: nested too deeply") from None
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=_rank)
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise SpecError(f"{origin}: {_line(details[0])}{more}") from None


def _with_present_names(table: dict[str, Any]) -> dict[str, Any]:
    """The study with `budget_seconds` where it has `study_seconds`, as stored studies do, and one metric for two."""
    renamed: dict[str, Any] = {}
    for name in ("search", "claim"):
        arm = table.get(name)
        if isinstance(arm, dict) and "study_seconds" in arm and "budget_seconds" not in arm:
            renamed[name] = {("budget_seconds" if key == "study_seconds" else key): arm[key] for key in arm}
    search = renamed.get("search", table.get("search"))
    if isinstance(search, dict) and isinstance(search.get("metric"), list | tuple) and len(search["metric"]) == 2:
        metric, against = search["metric"]
        renamed["search"] = search | {"metric": metric, "against": against}
    return table | renamed


def _with_own_data(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The study with the facts of data that are not built in, unless it has them."""
    task = table.get("task")
    if not isinstance(task, dict) or "data" in task or not isinstance(dataset := task.get("dataset"), str):
        return table
    if not is_own(dataset) or (dataset == "text" and not isinstance(task.get("file"), str)):
        return table
    return table | {"task": task | {"data": read_own_data(task, folder).model_dump(mode="json")}}


def _rank(error: ErrorDetails) -> int:
    """The order in which errors are told: an unknown key first, since a key that is missing is often that one."""
    return 0 if error["type"] == "extra_forbidden" else 1


def _line(error: ErrorDetails) -> str:
    """The line of one error: `field.path: what must hold; got value`."""
    context = error.get("ctx", {})
    path = [str(part) for part in error["loc"] if part not in _TAGS]
    shown_path = [part if part.isprintable() else json.dumps(part) for part in path]
    if error["type"] == "refused":
        shown_path += [context["field"]] if context["field"] else []
        message, got = context["message"], context["got"]
    elif error["type"] == "extra_forbidden":
        known = _keys_beside(path)
        return f"{'.'.join(shown_path)}: unknown key{_suggestion(path[-1], known)}; known are {', '.join(known)}"
    elif error["type"] == "missing":
        return f"{'.'.join(shown_path)}: is required"
    elif error["type"] == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        got = error["input"]
        message = f"must be one of {', '.join(names)}{_suggestion(str(got), names)}"
    else:
        message = error["msg"].replace("Input should", "must").replace("String should", "must")
        got = error["input"]
    shown = json.dumps(got, default=str)
    return f"{'.'.join(shown_path)}: {message}; got {shown if len(shown) <= 80 else shown[:77] + '...'}"


def _suggestion(name: str, known: list[str]) -> str:
    close = [_SYNONYMS[name]] if _SYNONYMS.get(name) in known else get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _keys_beside(path: list[str]) -> list[str]:
    """The known keys of the table that `path` ends in."""
    tables: list[type[Frozen]] = [StudySpec]
    for part in path[:-1]:
        # A part that is no key of these tables is a place in a list, or a name that the user chose.
        tables = [
            inner
            for table in tables
            for inner in (_tables_in(table.model_fields[part].annotation) if part in table.model_fields else [table])
        ]
    return list(dict.fromkeys(key for table in tables for key in table.model_fields))


def _tables_in(annotation: Any) -> Iterator[type[Frozen]]:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    for argument in get_args(annotation):
        yield from _tables_in(argument)


def canonical_json(spec: StudySpec) -> str:
    """JSON that is the same for equal studies, whatever the order, layout and spelled-out defaults of their files.

    Without [log], which may change at any time. `budget_seconds` has its first name, so that fingerprints stay.
    """
    known = spec.model_dump(mode="json", exclude={"log"})
    for arm in (known["search"], known["claim"]):
        if arm is not None:
            arm["study_seconds"] = arm.pop("budget_seconds")
    return _canonical(known)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def toml_of(spec: StudySpec) -> str:
    """A study file that gives this spec again; what is at its default is left out."""
    return tomli_w.dumps(spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True))


def fingerprint(spec: StudySpec) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON, without the place of the user's data."""
    known = json.loads(canonical_json(spec))
    if known["task"] is not None:
        known["task"] = without_folder(known["task"])
    return hashlib.sha256(_canonical(known).encode()).hexdigest()[:16]


def differing_fields(stored: StudySpec, given: StudySpec) -> list[str]:
    """The fields that differ, such as `search.reports: stored 10, given 20`.

    The name and [log] are not compared, nor the trials of a search and the seconds of a study: more of them, or fewer,
    are the same study.
    """
    free: dict[str, Any] = {
        "name": True, "log": True, "search": {"trials", "budget_seconds"}, "claim": {"budget_seconds"},
        "task": {"data": {"folder"}},
    }  # fmt: skip

    def leaves(value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return {key: leaf for name, item in value.items() for key, leaf in leaves(item, f"{path}.{name}").items()}
        return {path.lstrip("."): value}

    old, new = (
        leaves(
            spec.model_dump(mode="json", exclude=free),
            "",
        )
        for spec in (stored, given)
    )
    return [
        f"{path}: stored {json.dumps(old.get(path))}, given {json.dumps(new.get(path))}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
