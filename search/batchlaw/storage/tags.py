"""Words that people put on trials, stored with the study: a trial that has ended takes no attributes any more."""

from collections.abc import Sequence

from batchlaw.storage.retries import with_retries
from batchlaw.storage.stored_values import check_list
from batchlaw.storage.studies import StoredStudy

_TAGS = "batchlaw:tags:"  # followed by the number of the trial


def tags_of(stored: StoredStudy) -> dict[int, list[str]]:
    """The tags of every trial that has any, by its number.

    Raises:
        Unreadable: tags as stored are none.
    """
    attributes = with_retries(lambda: stored.study.user_attrs)
    found = {key.removeprefix(_TAGS): value for key, value in attributes.items() if key.startswith(_TAGS)}
    for number, value in found.items():
        check_list(value, f"tags of trial {number}")
    return {int(number): value for number, value in found.items() if number.isdecimal() and value}


def set_tags(stored: StoredStudy, number: int, tags: Sequence[str]) -> None:
    """Replace the tags of a trial."""
    with_retries(lambda: stored.study.set_user_attr(f"{_TAGS}{number}", list(tags)))
