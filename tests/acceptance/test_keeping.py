"""Studies renamed and deleted while real workers are at work on them, and a file whose study was renamed."""

import json

import pytest

from tests.acceptance.test_stop import start, until_begun, write_study

__all__ = ["start"]  # a fixture


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.mark.slow
def test_a_worker_goes_on_under_the_new_name_and_the_file_still_finds_the_study(batchlaw_here, start, tmp_path, url):
    file = write_study(tmp_path)
    batchlaw_here("create", file, "--storage", url)
    worker = start("worker", file, "--storage", url)
    until_begun(url, 1)
    batchlaw_here("rename", "tiny", "first", "--storage", url)
    (tmp_path / "go").touch()
    output, errors = worker.communicate(timeout=120)
    assert (worker.returncode, output, errors) == (0, "5 trials done.\n", "")
    again = batchlaw_here("create", file, "--storage", url)
    assert "tiny was renamed: this is first; --fork tiny starts a new study" in again.stderr
    batchlaw_here("create", file, "--fork", "tiny", "--storage", url)
    listed = json.loads(batchlaw_here("list", "--json", "--storage", url).stdout)
    assert [(study["study"], study["state"], study["done"]) for study in listed] == [
        ("first", "done", 5), ("tiny", "waiting", 0)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_worker_of_a_deleted_study_leaves(batchlaw_here, start, tmp_path, url):
    file = write_study(tmp_path)
    batchlaw_here("create", file, "--storage", url)
    worker = start("worker", file, "--storage", url)
    until_begun(url, 1)
    refused = batchlaw_here("delete", "tiny", "--yes", "--storage", url, code=2)
    assert "1 worker is at work" in refused.stderr and "--force" in refused.stderr
    folder = tmp_path / ".cache" / "batchlaw" / "runs"
    said = batchlaw_here("delete", "tiny", "--yes", "--force", "--storage", url).stdout
    assert said.startswith("tiny is deleted, with 1 trial.")
    assert not list(folder.glob("*")) or f"stay in {next(folder.iterdir())}" in said
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode in (0, 2) and "Traceback" not in errors
    batchlaw_here("create", file, "--storage", url)
    listed = json.loads(batchlaw_here("list", "--json", "--storage", url).stdout)
    assert [(study["study"], study["waiting"], study["done"]) for study in listed] == [("tiny", 5, 0)]
