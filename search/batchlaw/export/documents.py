"""Configurations as data: JSON, YAML, TOML and CSV."""

import csv
import io
import json
from typing import Any

from batchlaw.export.provenance import Provenance
from batchlaw.results.configuration import Configuration
from batchlaw.results.verification import Verification
from batchlaw.spec import StudySpec, fingerprint


def as_document(
    spec: StudySpec,
    configurations: list[Configuration],
    provenances: list[Provenance],
    verified: Verification | None,
) -> dict[str, Any]:
    """`{"study": …, "configurations": [{"params", "peak_lr", "value", "standard_error", …, "provenance"}]}`."""
    document: dict[str, Any] = {
        "study": spec.name,
        "fingerprint": fingerprint(spec),
        "metric": spec.arm.metric,
        "direction": spec.direction,
        "configurations": [
            configuration.as_dict() | {"provenance": provenance.as_dict()}
            for configuration, provenance in zip(configurations, provenances, strict=True)
        ],
    }
    return document | ({"verified": verified.as_dict()} if verified else {})


def structured(form: str, document: dict[str, Any]) -> str:
    """JSON, YAML or TOML."""
    if form == "json":
        return json.dumps(document, indent=2, allow_nan=False)
    if form == "yaml":
        import yaml

        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    import tomli_w

    return tomli_w.dumps(_without_none(document))


def _without_none(value: Any) -> Any:
    """The same without keys whose value is None, since TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def csv_text(configurations: list[Configuration], provenances: list[Provenance]) -> str:
    """A row for each configuration and its provenance; lists are separated by spaces, tables are JSON."""
    rows = []
    for configuration, provenance in zip(configurations, provenances, strict=True):
        row = configuration.as_dict()
        row |= row.pop("params") | row.pop("derived") | provenance.as_dict()
        rows.append({name: _cell(value) for name, value in row.items()})
    text = io.StringIO()
    # Only one row has a verification, but every row needs its column.
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return " ".join(map(repr, value))
    return json.dumps(value) if isinstance(value, dict) else value
