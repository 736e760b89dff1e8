"""How a command leaves its database behind."""


def test_sqlite_is_left_as_one_file(batchlaw, finished):
    """Whoever copies it has all of it: SQLite's log goes into the file when the last connection is closed."""
    for words in (["status", "tiny"], ["export", "tiny"], ["status", "nothing"]):
        batchlaw(*words, code=2 if "nothing" in words else 0, folder=finished)
        assert [file.name for file in finished.glob("batchlaw.db*")] == ["batchlaw.db"]
