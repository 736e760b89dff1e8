"""The Python of every page but the tutorials, which have a test of their own, runs on small data."""

import pytest

from tests.documentation import PAGES, ROOT, python_of

SHOWN = [page for page in PAGES if page.parent.name != "tutorials" and python_of(page)]


def test_pages_with_python_are_found():
    assert len(SHOWN) >= 4 and len(python_of(ROOT / "docs" / "how-to" / "function.md")) == 3


@pytest.mark.filterwarnings("ignore")  # of other libraries
@pytest.mark.parametrize("page", SHOWN, ids=[page.relative_to(ROOT).as_posix() for page in SHOWN])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable, value in {
        "BATCHLAW_STORAGE": f"sqlite:///{tmp_path / 'pages.db'}", "BATCHLAW_DATA": str(tmp_path), "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    names = {"__name__": "page"}
    for code in python_of(page):
        exec(compile(code, page.name, "exec"), names)
