"""Tables in which a column is a run, and a row is a hyperparameter or a score."""

from batchlaw.tables import names
from batchlaw.tables.formats.part import Part

_MOST = 200  # rows


def turned(part: Part) -> Part | None:
    """With a row for each run; None where the first column does not name a rate, a batch size and a score."""
    headers = [str(name) for name in part.table.columns]
    if any(names.rate_rank(name) or names.batch_rank(name) for name in headers) or not 1 < len(part.table) <= _MOST:
        return None
    called = [str(text).strip() for text in part.table.iloc[:, 0]]
    if len(set(called)) < len(called) or not all(
        any(map(is_one, called)) for is_one in (names.rate_rank, names.batch_rank, names.metric_of)
    ):
        return None
    table = part.table.iloc[:, 1:].T
    table.columns = called
    table.insert(0, headers[0] or "run", headers[1:])
    table.index = range(1, len(table) + 1)
    return Part(table, part.heading, part.larger, part.notes)
