"""How a command leaves its database behind."""

import shutil


def test_sqlite_is_left_as_one_file(batchlaw, finished, tmp_path):
    """Whoever copies it has all of it: SQLite's log goes into the file when the last connection is closed."""
    shutil.copy(finished / "batchlaw.db", tmp_path)
    for words in (["status", "tiny"], ["export", "tiny"], ["status", "nothing"]):
        batchlaw(*words, code=2 if "nothing" in words else 0)
        assert [file.name for file in tmp_path.glob("batchlaw.db*")] == ["batchlaw.db"]
