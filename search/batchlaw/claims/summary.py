"""The verdicts of a designed study in a line each: the end of a run, and the note on the study's page."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchlaw.claims.designed import Block


def summary_of(judged: "Iterable[Block]") -> Iterator[tuple[str, str]]:
    """Each hypothesis with its verdict, such as "H9 refuted", and what was claimed and found.

    If it was judged in several strata, the number of each verdict is told.
    """
    for block in judged:
        for column in zip(*(findings for _, findings in block), strict=True):
            hypothesis = column[0].hypothesis
            if len(column) == 1:
                yield f"{hypothesis.name} {column[0].verdict}", f"{hypothesis.statement}; {column[0].reason}"
            else:
                counts = Counter(finding.verdict for finding in column).most_common()
                found = ", ".join(f"{verdict} {n} times" for verdict, n in counts)
                yield (
                    f"{hypothesis.name} {found}",
                    f"{hypothesis.statement}; at {len(column)} combinations of the other factors",
                )
