"""The directions of import, held to the picture in CONTRIBUTING.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "search"
MODULES = {
    ".".join(("search", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in ROOT.rglob("*.py")
}

PURE = ("search.errors", "search.seeds", "search.spec", "search.scaling", "search.schedule", "search.derive")
TORCH_SIDE = ("search.train",)
OPTUNA_SIDE = ("search.space", "search.sampling", "search.storage", "search.records")
READING = ("search.records", "search.status", "search.stats", "search.claims", "search.figures",
           "search.laws", "search.export", "search.progress", "search.profiles", "search.dashboard")  # fmt: skip
MEETING = ("search.objective", "search.carrying", "search.replay", "search.planning", "search.profiling",
           "search.worker")  # fmt: skip


def imports(module: str, *, nested: bool = True) -> set[str]:
    """Modules that a module imports; `nested` counts those inside functions and conditions as well."""
    tree = ast.parse(MODULES[module].read_text())
    found: set[str] = set()
    nodes = ast.walk(tree) if nested else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(names: set[str], rooms: tuple[str, ...]) -> set[str]:
    return {name for name in names for room in rooms if name == room or name.startswith(room + ".")}


def rooms(*groups: str) -> list[str]:
    return sorted(within(set(MODULES), groups))


def test_the_rooms_named_here_exist():
    for room in (*PURE, *TORCH_SIDE, *OPTUNA_SIDE, *READING, *MEETING):
        assert rooms(room), room


@pytest.mark.parametrize("module", rooms(*PURE))
def test_the_pure_rooms_know_neither_side(module):
    assert not within(
        imports(module), ("torch", "torchvision", "optuna", "sqlalchemy", *TORCH_SIDE, *OPTUNA_SIDE, *MEETING)
    )


@pytest.mark.parametrize("module", rooms("search.spec"))
def test_the_spec_knows_only_errors(module):
    outside = {
        name for name in within(imports(module), ("search",)) if not within({name}, ("search.spec", "search.errors"))
    }
    assert not outside - {"search"}


@pytest.mark.parametrize("module", rooms(*TORCH_SIDE))
def test_the_torch_side_knows_nothing_of_optuna(module):
    assert not within(imports(module), ("optuna", "sqlalchemy", *OPTUNA_SIDE, *MEETING, *READING, "search.cli"))


@pytest.mark.parametrize("module", rooms(*OPTUNA_SIDE))
def test_the_optuna_side_knows_nothing_of_torch(module):
    assert not within(imports(module), ("torch", "torchvision", *TORCH_SIDE, *MEETING, "search.cli"))


@pytest.mark.parametrize("module", rooms(*READING))
def test_the_reading_side_never_imports_torch(module):
    assert not within(imports(module), ("torch", "torchvision", *TORCH_SIDE, *MEETING))


@pytest.mark.parametrize("module", rooms("search.cli", "search.launch"))
def test_the_command_imports_torch_only_inside_a_command(module):
    assert not within(imports(module, nested=False), ("torch", "torchvision", *TORCH_SIDE, *MEETING))


def test_one_caller_of_suggest_and_one_opener_of_databases():
    suggesting = {module for module, file in MODULES.items() if ".suggest_" in file.read_text()}
    assert suggesting == {"search.space"}
    opening = {module for module in MODULES if within(imports(module), ("sqlalchemy",))}
    asking = {f"search.storage{module}" for module in ("", ".cache", ".studies")}  # through the others alone
    assert opening == set(rooms("search.storage")) - asking


@pytest.mark.parametrize("module", rooms("search.stats"))
def test_the_statistics_know_neither_studies_nor_databases(module):
    outside = within(imports(module), ("search",)) - within(imports(module), ("search.stats",)) - {"search"}
    assert not outside and not within(imports(module), ("optuna", "sqlalchemy", "pandas"))


def test_only_the_command_prints_and_exits():
    for module, file in MODULES.items():
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
        if not within({module}, ("search.cli", "search.progress")):
            assert not calls & {"print", "sys.exit", "exit"}, module


def test_errors_are_all_exported():
    import search.errors

    defined = {name for name, value in vars(search.errors).items() if isinstance(value, type)} - {"Mapping"}
    assert defined == set(search.errors.__all__)
