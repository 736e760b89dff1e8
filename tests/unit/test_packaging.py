"""What is released: one version everywhere, and archives that hold the package."""

import re
import tomllib

import batchlaw

from tests.documentation import ROOT

BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]


def test_the_version_is_the_same_everywhere_and_dated():
    top = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    citation = dict(re.findall(r"^([\w-]+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert citation["version"] == batchlaw.__version__
    assert top in ("Unreleased", f"{batchlaw.__version__} ({citation['date-released']})")


def test_the_wheel_can_be_made_of_the_source_archive():
    """Renamed in the source archive, the package's folder would not be found, and the wheel would be empty."""
    assert "sources" not in BUILD and "sources" not in BUILD["targets"]["sdist"]
    [folder] = BUILD["targets"]["wheel"]["only-include"]
    assert (ROOT / folder / "__init__.py").is_file() and BUILD["targets"]["wheel"]["sources"] == [folder.split("/")[0]]


def test_the_source_archive_has_all_that_is_named():
    include = BUILD["targets"]["sdist"]["include"]
    assert not [name for name in include if not (ROOT / name).exists()]
    texts = {file.name for file in ROOT.iterdir() if file.suffix in (".md", ".cff") or file.name == "LICENSE"}
    assert texts <= set(include)
