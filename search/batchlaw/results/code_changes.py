"""Whether the user's code changed while a study ran."""

from itertools import pairwise

from batchlaw.storage import StoredStudy, heads_of, with_retries
from batchlaw.storage.attributes import CODE


def code_changes(stored: StoredStudy) -> str | None:
    """A sentence that names the trials before and after which the code was changed; None if it was not."""
    if stored.spec.named_code is None:
        return None
    heads = with_retries(lambda: heads_of(stored.storage, stored.study_id, CODE))
    known = [(head.number, head.attributes[CODE]) for head in heads if isinstance(head.attributes.get(CODE), str)]
    changed = [second for (_, before), (second, after) in pairwise(known) if before != after]
    if not changed:
        return None
    named = ", ".join(map(str, changed[:5])) + ", …" * (len(changed) > 5)
    return f"the code was changed during this study, before trial {named}; trials before and after may differ by that"
