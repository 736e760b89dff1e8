"""Imports go one way: the floors of the house, as drawn in CONTRIBUTING.md."""

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

import optuna
import pytest
from optuna.storages._rdb.models import BaseModel

ROOT = Path(__file__).parents[2] / "search" / "batchlaw"
# From the ground up. A room imports from lower floors and from itself, never from a neighbour or from above.
FLOORS = (
    ("errors",), ("consoles", "cores", "expressions", "interrupts", "shared_files", "stats"), ("spec",),
    ("data_files", "recipe", "scripts"),
    ("train", "storage"), ("results", "tables"), ("sampling",),
    ("export", "claims"), ("objectives",), ("laws",), ("measure",), ("figures",), ("dashboard",), ("workers",),
    ("study",), ("cli", "integrations"),
)  # fmt: skip
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ENTRANCES = ("__init__", "__main__")  # of the package: they lead to every room
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in sorted(ROOT.rglob("*.py"))}
_WORDS = {"studies", "trials"}  # names of tables that are words of ours, too
_COPYING = "storage.copying"  # copies the tables that it finds, whatever they are
NEVER_TORCH = ("spec", "recipe", "scripts", "stats", "storage", "results", "tables", "sampling", "export", "claims",
               "laws", "figures", "dashboard")  # fmt: skip


@cache
def imports(module: str, *, nested: bool = True) -> set[str]:
    """Modules that a module imports; `nested` counts those inside functions and conditions as well."""
    tree = ast.parse(MODULES[module].read_text())
    found: set[str] = set()
    for node in ast.walk(tree) if nested else iter(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_of(names: set[str]) -> set[str]:
    """The rooms of this package among imported names; names of the package itself, such as its version, are none."""
    ours = {name.split(".")[1] for name in names if name.startswith("batchlaw.")}
    return {room for room in ours if room in FLOOR}


def libraries(names: set[str], *wanted: str) -> set[str]:
    return {name.split(".")[0] for name in names} & set(wanted)


def of_rooms(*rooms: str) -> list[str]:
    return [module for module in MODULES if any(f"{module}.".startswith(f"{room}.") for room in rooms)]


def test_every_module_is_in_a_room_and_every_room_exists():
    rooms = {module.split(".")[0] for module in MODULES} - set(ENTRANCES)
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ENTRANCES])
def test_imports_go_down(module):
    room = module.split(".")[0]
    above = {name for name in rooms_of(imports(module)) if name != room and FLOOR[name] >= FLOOR[room]}
    assert not above


def test_modules_of_a_room_import_each_other_in_one_direction():
    graph = {module: set() for module in MODULES}
    for module in MODULES:
        for name in imports(module, nested=False):
            target = name.removeprefix("batchlaw.")
            target = f"{target}.__init__" if f"{target}.__init__" in MODULES else target
            if name.startswith("batchlaw.") and target in MODULES and target != module:
                graph[module].add(target)
    done, open_ = set(), []

    def visit(module: str) -> None:
        assert module not in open_, f"circle: {' -> '.join(open_[open_.index(module) :])} -> {module}"
        if module in done:
            return
        open_.append(module)
        for target in graph[module]:
            # A package that gathers the names of its modules is no circle with them.
            if not (target.endswith(".__init__") and module.startswith(target.removesuffix("__init__"))):
                visit(target)
        open_.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("module", of_rooms(*NEVER_TORCH))
def test_reading_and_deriving_never_import_torch(module):
    assert not libraries(imports(module), "torch", "torchvision")


@pytest.mark.parametrize("module", of_rooms("train"))
def test_the_training_loop_knows_nothing_of_optuna(module):
    assert not libraries(imports(module), "optuna", "sqlalchemy")


@pytest.mark.parametrize("module", of_rooms("stats"))
def test_the_statistics_know_neither_studies_nor_databases(module):
    assert not libraries(imports(module), "optuna", "sqlalchemy", "pandas") and rooms_of(imports(module)) <= {"stats"}


@pytest.mark.parametrize("module", of_rooms("cli", "study", "workers.launch"))
def test_commands_import_torch_only_where_they_train(module):
    trains = {"train", "objectives", "measure"}
    assert not libraries(imports(module, nested=False), "torch", "torchvision", "pandas")
    assert not rooms_of(imports(module, nested=False)) & trains


def test_one_caller_of_suggest_and_one_opener_of_databases():
    suggesting = {module for module, file in MODULES.items() if ".suggest_" in file.read_text()}
    assert suggesting == {"recipe.space"}
    opening = {module for module in MODULES if libraries(imports(module), "sqlalchemy")}
    assert {module.split(".")[0] for module in opening} == {"storage"}


def test_only_the_command_prints_and_exits():
    for module, file in MODULES.items():
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
        if module.split(".")[0] != "cli":
            assert not calls & {"print", "sys.exit", "exit"}, module


def private_names_of_optuna() -> set[str]:
    """The private attributes of Optuna's objects: of their classes, and those that their constructors set."""
    kinds = (
        optuna.Study, optuna.Trial, optuna.trial.FrozenTrial, optuna.storages.RDBStorage, optuna.samplers.TPESampler,
        optuna.storages._CachedStorage, optuna.pruners.HyperbandPruner,
    )  # fmt: skip
    found = {name for kind in kinds for name in (*dir(kind), *inspect.unwrap(kind.__init__).__code__.co_names)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_one_folder_names_what_optuna_does_not_promise():
    """Elsewhere nothing private is imported, nothing private is asked of an object but `self`, no table is named."""
    private = private_names_of_optuna()
    assert {"_study_id", "_trial_id", "_storage", "_get_trials", "_cached_frozen_trial", "_backend"} <= private
    tables = {table.name for table in BaseModel.metadata.tables.values()} - _WORDS
    for module, file in MODULES.items():
        if module.startswith("storage.optuna_internals."):
            continue
        tree = ast.parse(file.read_text())
        imported = {name for name in imports(module) if name.startswith("optuna")}
        assert not {name for name in imported if any(part.startswith("_") for part in name.split("."))}, module
        asked = {
            node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        }  # fmt: skip
        assert not asked & private, module
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert module == _COPYING or not texts & tables, module


@pytest.mark.parametrize("module", of_rooms("sampling", "dashboard"))
def test_heirs_of_optunas_classes_use_public_methods(module):
    for kind in vars(importlib.import_module(f"batchlaw.{module.removesuffix('.__init__')}")).values():
        if not isinstance(kind, type) or not kind.__module__.startswith("batchlaw."):
            continue
        theirs = {name for base in kind.__mro__ if base.__module__.startswith("optuna.") for name in vars(base)}
        methods = [method for method in vars(kind).values() if inspect.isfunction(method)]
        ours = {*vars(kind), *(name for method in methods for name in method.__code__.co_names)}
        assert not {name for name in ours & theirs if name.startswith("_") and not name.startswith(("__", "_abc_"))}


def test_errors_are_all_exported():
    import batchlaw.errors

    defined = {name for name, value in vars(batchlaw.errors).items() if isinstance(value, type)} - {"Mapping"}
    assert defined == set(batchlaw.errors.__all__)
