"""`report`: one file about one study or several, in a real browser, and its figures as files for a paper."""

import json
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomli_w

from tests.acceptance.conftest import BROWSER, browse, claim_study, command, environment, made_once, needs_browser, run
from tests.conftest import tiny_study

needs_kaleido = pytest.mark.skipif(
    BROWSER is None or find_spec("kaleido") is None, reason="needs a browser and pip install 'batchlaw[figures]'"
)
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
OBJECTIVE = """
def train(trial):
    trial.report(1.0, {METRIC: trial.config.base_lr})
    return {METRIC: trial.config.base_lr}
"""


def _studies(designed: Path, folder: Path) -> None:
    shutil.copy(designed / "batchlaw.db", folder)
    search = {"trials": 8, "replicates": 2, "pruner": "median", "metric": "validation_loss"}
    hostile = {name: value for name, value in tiny_study().items() if name != "task"} | {
        "name": "hostile", "question": HOSTILE, "objective": "hostile:train", "train_size": 64,
        "search": {"trials": 4, "reports": 1, "metric": HOSTILE, "direction": "maximize"},
    }  # fmt: skip
    files = {"first": tiny_study(search=search) | {"name": "first"}, "hostile": hostile,
             "unfinished": claim_study() | {"name": "unfinished"}}  # fmt: skip
    (folder / "hostile.py").write_text(OBJECTIVE.replace("METRIC", repr(HOSTILE)))
    for name, study in files.items():
        (folder / f"{name}.toml").write_text(tomli_w.dumps(study))
        run(folder, "create" if name == "unfinished" else "run", f"{name}.toml")


@pytest.fixture(scope="session")
def made(designed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "studies", partial(_studies, designed))


@pytest.fixture
def studies(made: Path, tmp_path: Path) -> Path:
    """A folder whose database holds a judged claim, two searches, one of hostile names, and a claim without a run."""
    return shutil.copytree(made, tmp_path / "studies")


@pytest.fixture
def report(batchlaw_here, studies):
    return lambda *arguments, code=0: batchlaw_here("report", *arguments, code=code, folder=studies)


def content(page: Path) -> str:
    """What a report says, without the library that draws its figures."""
    return page.read_text().partition("<body>")[2]


def opened(page: Path, folder: Path) -> str:
    """The document after a browser has drawn every figure, and complained of nothing."""
    done = browse(page.as_uri(), folder)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stderr
    n_figures = content(page).count("Plotly.newPlot(")
    assert n_figures > 0 and done.stdout.count('class="plot-container plotly"') == n_figures
    return done.stdout


@needs_browser
def test_a_search_is_told_from_question_to_cost(report, tmp_path):
    page = tmp_path / "first.html"
    assert report("first", "-o", page).stdout == f"wrote {page}\n"
    text = content(page)
    for wanted in ("Does the machinery work?", "8 of 8 trials", "Best configurations", "over the seeds of a trial",
                   "What was run", "8 to 64, powers of two", "What it cost", "core hours", "fingerprint", "optuna",
                   "share pruned", "[space.batch_size]"):  # fmt: skip
        assert wanted in text, wanted
    assert "Verdicts" not in text and "How it moves" not in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", text)
    document = opened(page, tmp_path)
    assert 'id="first-score-map"' in document and 'id="first-timeline"' in document


@needs_browser
def test_a_claim_is_told_with_its_verdicts(report, tmp_path):
    page = tmp_path / "claim.html"
    report("tiny-claim", "-o", page)
    text = content(page)
    assert all(f"<b>{name} " in text for name in ("H9", "H8", "H6")) and "How to read this" in text
    assert 'id="tiny-claim-0-map"' in opened(page, tmp_path) and "tiny-claim-score-map" not in text


@needs_browser
@pytest.mark.slow
def test_several_are_compared_first_and_what_is_not_finished_says_so(report, studies, tmp_path):
    told = report("tiny-claim", "first", "unfinished")
    page = studies / "report.html"
    assert "wrote report.html" in told.stdout and "unfinished: no verdicts yet: 72 of 72 cells" in told.stderr
    text = content(page)
    assert text.index("3 studies compared") < text.index("Verdicts side by side") < text.index('id="tiny-claim"')
    assert "No verdicts yet:" in text and "no complete trial yet" in text
    assert 'id="comparison-best-validation_loss-per-batch-size"' in opened(page, tmp_path)


@needs_browser
@pytest.mark.slow
def test_names_of_ones_own_are_shown_and_never_run(report, tmp_path):
    page = tmp_path / "hostile.html"
    report("hostile", "first", "-o", page)
    assert HOSTILE not in content(page)
    document = opened(page, tmp_path)
    assert "<title>hostile, first</title>" in document and "<img" not in document


@needs_kaleido
@pytest.mark.slow
def test_figures_are_written_for_a_paper(batchlaw, studies, tmp_path):
    page, png, svg = tmp_path / "first.html", tmp_path / "a" / "png", tmp_path / "svg"
    options = ("-o", page, "--png", png, "--svg", svg, "--json")
    told = json.loads(batchlaw("report", "first", *options, folder=studies).stdout)
    assert told["report"] == str(page) and page.exists()
    assert sorted(told["figures"]) == sorted(str(file) for folder in (png, svg) for file in folder.iterdir())
    assert {file.stem for file in png.iterdir()} == {file.stem for file in svg.iterdir()} >= {"first-score-map"}
    data = (png / "first-score-map.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", data[16:20]) == (3 * 680,)
    drawing = ElementTree.parse(svg / "first-score-map.svg").getroot()
    assert "Score over learning rate and batch size" in "".join(drawing.itertext())


BAD = [
    (("nothing",), "there is no study 'nothing' in the database; it holds first, hostile, tiny-claim, unfinished"),
    (("first", "first"), "STUDY: got first first; must not repeat a study"),
    (("first", "-o", "missing/page.html"), "--output: got 'missing/page.html'; No such file"),
    ((), "Missing argument 'STUDY_OR_FILE…'"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=lambda value: str(value)[:40])
def test_a_wrong_request_is_one_line_and_writes_nothing(report, studies, arguments, words):
    before = {file.name for file in studies.iterdir()}
    told = report(*arguments, code=2)
    assert words in told.stderr and told.stderr.count("\n") == 1
    # This process may still have the database open.
    assert {file.name for file in studies.iterdir()} - {"batchlaw.db-wal", "batchlaw.db-shm"} == before


@needs_kaleido
def test_a_folder_that_cannot_be_had_is_one_line(report, tmp_path):
    (tmp_path / "taken").write_text("")
    told = report("first", "-o", tmp_path / "page.html", "--svg", tmp_path / "taken", code=2)
    assert f"--svg: got '{tmp_path / 'taken'}'; File exists" in told.stderr and told.stderr.count("\n") == 1


def test_what_draws_figures_is_asked_for_before_the_work(studies, tmp_path):
    page = tmp_path / "page.html"
    if find_spec("kaleido"):
        done = subprocess.run(
            command("report", "first", "-o", page, "--png", tmp_path), cwd=studies, capture_output=True, text=True,
            env=environment(studies) | {"BROWSER_PATH": "/no/browser"},
        )  # fmt: skip
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "--png: needs Chrome or Chromium, and BROWSER_PATH names '/no/browser'" in done.stderr
    script = (
        "import sys; sys.modules['kaleido'] = None; sys.argv = ['batchlaw', *sys.argv[1:]]\n"
        "from batchlaw.cli import main; main()\n"
    )

    def without_kaleido(*options):
        return subprocess.run(
            [sys.executable, "-c", script, "report", "first", "-o", page, *options], cwd=studies,
            env=environment(studies), capture_output=True, text=True,
        )  # fmt: skip

    done = without_kaleido("--svg", tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: --svg: needs kaleido: pip install 'batchlaw[figures]'\n")
    assert not page.exists()
    assert without_kaleido().returncode == 0 and page.exists()


def test_a_report_never_imports_torch(studies, tmp_path):
    script = (
        "import sys; sys.argv = ['batchlaw', *sys.argv[1:]]\n"
        "from batchlaw.cli import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "report", "first", "-o", tmp_path / "page.html"], cwd=studies,
        env=environment(studies), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == "False"
