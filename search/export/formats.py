"""Rendering of configurations as text."""

import csv
import io
import json
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.export.configurations import Configuration
from search.export.snippet import python_snippet
from search.records import TrialRecord
from search.spec import StudySpec, TrainConfig, fingerprint

FORMATS = ("table", "json", "yaml", "toml", "csv", "python")


def render(
    form: str,
    spec: StudySpec,
    configurations: list[Configuration],
    records: list[TrialRecord],
    verified: dict[str, Any] | None,
) -> str:
    """The configurations in one of `FORMATS`; `records` are those they were made of, `verified` the winner's test."""
    if form == "table":
        return table_text(spec, configurations, verified)
    if form == "python":
        best = configurations[0]
        title = f"Trial {best.trial} of study {spec.name}, {spec.arm.metric} {_with_error(best)}; exported by batchlaw."
        return python_snippet(TrainConfig.from_record(records[0].config), title)
    if form == "csv":
        return _csv(configurations)
    return structured(form, as_document(spec, configurations, verified))


def as_document(
    spec: StudySpec, configurations: list[Configuration], verified: dict[str, Any] | None
) -> dict[str, Any]:
    """`{"study": …, "configurations": [{"params", "peak_lr", "value", "standard_error", …}]}`."""
    document: dict[str, Any] = {
        "study": spec.name,
        "fingerprint": fingerprint(spec),
        "metric": spec.arm.metric,
        "direction": spec.direction,
        "configurations": [configuration.as_dict() for configuration in configurations],
    }
    return document | ({"verified": verified} if verified else {})


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
    """TOML has no null: what is unknown is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _csv(configurations: list[Configuration]) -> str:
    rows = []
    for configuration in configurations:
        row = configuration.as_dict()
        row |= row.pop("params") | row.pop("derived")
        row["replicate_values"] = " ".join(map(repr, row["replicate_values"]))
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table(spec: StudySpec, configurations: list[Configuration]) -> Table:
    """The configurations for people, within 80 columns."""
    title = f"Best configurations of {spec.name} by {spec.arm.metric}"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    left = ("", "optimizer", "rule", "decay")
    for heading in ("trial", "score", "", "batch", "peak lr", "optimizer", "rule", "warmup", "decay"):
        grid.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    for configuration in configurations:
        params = configuration.params
        grid.add_row(
            str(configuration.trial),
            _with_error(configuration),
            "=" if configuration.tied_with_best else "",
            str(params["batch_size"]),
            f"{configuration.peak_lr:.3g}",
            params["optimizer"],
            params["scaling_rule"],
            f"{params['warmup_fraction']:.0%}",
            params["decay"],
        )
    return grid


def footnote(configurations: list[Configuration]) -> str:
    """What the ± means, and the caution that the best of many is flattered by its selection."""
    told = "= marks what cannot be told from the best at the 5 % level."
    source = {
        "seeds": f"± is the standard error over the seeds of a trial; {told}",
        "validation sample": f"± is the sampling error of the validation set for one seed; {told}",
        "unknown": "One seed tells no error; replicates = 3 would.",
    }[configurations[0].standard_error_of]
    return (
        f"{source}\n"
        "The best of many is flattered by its selection: export --verify 5 scores it on fresh seeds and test data."
    )


def table_text(spec: StudySpec, configurations: list[Configuration], verified: dict[str, Any] | None) -> str:
    """The table, its footnote and the verification as plain text."""
    console = Console(file=io.StringIO(), width=120, highlight=False)
    console.print(table(spec, configurations))
    console.print(footnote(configurations))
    if verified:
        console.print(verification_line(verified))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def verification_line(verified: dict[str, Any]) -> str:
    """One sentence on fresh seeds and test data."""
    metric = verified["metric"]
    line = (
        f"Verified on {verified['n_seeds']} fresh seeds: {metric} {_value_and_error(verified['fresh'])}; "
        f"the search reported {verified['search_value']:.4f}, an optimism of {_value_and_error(verified['optimism'])}"
    )
    test = verified.get("test")
    return line + (f"; {test['metric']} {_value_and_error(test)}" if test else "") + "."


def _value_and_error(part: dict[str, Any]) -> str:
    return f"{part['value']:.4f} ± {part['standard_error']:.4f}"


def _with_error(configuration: Configuration) -> str:
    error = configuration.standard_error
    return f"{configuration.value:.4f}" + (f" ± {error:.4f}" if error is not None else "")
