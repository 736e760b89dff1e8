"""The Optuna form of an export: what to queue in another study, `study.enqueue_trial(**entry)` for each entry."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from batchlaw.export.provenance import Provenance


def optuna_queue(suggested: Sequence[Mapping[str, Any]], provenances: Sequence[Provenance]) -> str:
    """A JSON list of the arguments of `enqueue_trial`; the provenance becomes an attribute of the queued trial.

    The parameters carry the names and scales of `batchlaw.recipe.space.suggest`, such as log2_batch_size.
    """
    entries = [
        {"params": params, "user_attrs": {"provenance": provenance.as_dict()}, "skip_if_exists": True}
        for params, provenance in zip(suggested, provenances, strict=True)
    ]
    return json.dumps(entries, indent=2, allow_nan=False)
