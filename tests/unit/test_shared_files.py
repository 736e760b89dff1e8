"""Files where other users may write, too."""

import os
import stat
import threading

import pytest
from batchlaw.errors import BatchlawError, StorageError
from batchlaw.shared_files import check_link, write_whole
from batchlaw.storage import open_storage
from batchlaw.study.files import write_text

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")


@pytest.fixture
def planted(tmp_path):
    """A link of another user, to a file that is to stay as it is."""
    (tmp_path / "theirs").write_text("precious")
    link = tmp_path / "report.html"
    link.symlink_to(tmp_path / "theirs")
    os.lchown(link, 12345, 12345)
    return link


@needs_root
def test_a_link_of_another_user_is_not_followed(planted, tmp_path):
    with pytest.raises(BatchlawError, match="is a link of another user") as refused:
        write_text(planted, "x")
    assert "\n" not in str(refused.value) and (tmp_path / "theirs").read_text() == "precious"
    with pytest.raises(StorageError, match="is a link of another user"):
        open_storage(f"sqlite:///{planted}", create=True)
    os.lchown(planted, os.geteuid(), -1)
    check_link(planted)
    write_text(planted, "mine")
    assert planted.is_symlink() and (tmp_path / "theirs").read_text() == "mine"


@needs_root
def test_a_folder_that_is_such_a_link_is_not_entered(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    os.lchown(tmp_path / "runs", 12345, 12345)
    with pytest.raises(BatchlawError, match="is a link of another user"):
        check_link(tmp_path / "runs" / "trial-1")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_umask_of_its_user_and_keeps_the_mode_it_had(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "x", "1")
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask
        (tmp_path / "x").chmod(0o640)
        write_whole(tmp_path / "x", "2")
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    finally:
        os.umask(before)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_nobody_reads_half_a_file(tmp_path):
    file, long, seen, end = tmp_path / "x", "a" * 3_000_000, set(), threading.Event()
    file.write_text(long)

    def read():
        while not end.is_set():
            seen.add(len(file.read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        write_whole(file, long)
    end.set()
    reader.join()
    assert seen == {len(long)}


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "x", "\ud800")
    assert (tmp_path / "x").read_text() == "before" and len(list(tmp_path.iterdir())) == 1
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: (tmp_path / "pipe").read_text())
    reader.start()
    write_whole(tmp_path / "pipe", "through")
    reader.join()
    assert (tmp_path / "pipe").is_fifo()
