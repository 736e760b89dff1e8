"""Configurations as a table for people."""

import io
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from batchlaw.consoles import PlainConsole, visible
from batchlaw.recipe.arguments import takes_seed
from batchlaw.results.columns import columns_of, heading_of, text_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.records import TrialRecord
from batchlaw.results.verification import Verification
from batchlaw.spec import StudySpec


def trials_table(spec: StudySpec, records: Sequence[TrialRecord], tags: Mapping[int, Sequence[str]]) -> Table:
    """Every trial: how it ended, its score, the seconds of its training (s), what was searched, and its tags."""
    searched = {"peak_lr" if name == "base_lr" else name for name in spec.searched} - {"scaling_rule"}
    names = [name for name in columns_of(spec) if name in searched]
    grid = Table(box=SIMPLE_HEAD, padding=0)
    for heading in ("trial", "outcome", spec.arm.metric, "s", *map(heading_of, names), *(("tags",) if tags else ())):
        grid.add_column(visible(heading), no_wrap=True)
    for record in records:
        seconds = record.result.seconds
        grid.add_row(
            str(record.number),
            " ".join([record.outcome, *(f"> {name}" for name in record.breaks)]),
            "" if record.value is None else f"{record.value:.4f}",
            "" if seconds is None else f"{seconds:.2g}",
            *("" if record.config is None else visible(text_of(record.config, name)) for name in names),
            *((visible(" ".join(tags.get(record.number, ()))),) if tags else ()),
        )
    return grid


def table(
    spec: StudySpec, configurations: list[Configuration], per: str | None = None, what: str = "Best configurations"
) -> Table:
    """The table, with the seconds of one run (s) and the number of fresh seeds behind a score.

    Args:
        spec: the study.
        configurations: the rows.
        per: the hyperparameter of whose values each row is the best.
        what: the rows are, for the title.
    """
    title = f"{what} of {spec.name} by {spec.arm.metric}"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    names = [name for name in columns_of(spec) if name != "scaling_rule"]  # the peak rate holds it
    if per is not None and per not in names:
        names = [per, *names]
    numbers = {"trial", "score", "seeds", "s"} | {
        heading_of(name)
        for name in names
        if not any(isinstance(each.config.value_of(name), str) for each in configurations)
    }
    fresh = any(each.fresh for each in configurations)
    for heading in ("trial", "score", "", *(("seeds",) if fresh else ()), "s", *map(heading_of, names)):
        grid.add_column(heading, justify="right" if heading in numbers else "left", no_wrap=True)
    for configuration in configurations:
        grid.add_row(
            str(configuration.trial),
            _with_error(configuration),
            "=" if configuration.tied_with_best else "",
            *((_seeds(configuration),) if fresh else ()),
            "" if configuration.seconds_a_run is None else f"{configuration.seconds_a_run:.2g}",
            *(text_of(configuration.config, name) for name in names),
        )
    return grid


def footnote(spec: StudySpec, configurations: list[Configuration], *, verified: bool = False) -> str:
    """The meaning of ± and the selection bias of the best score; or, of a predicted configuration, its source.

    Args:
        spec: the study.
        configurations: the rows of the table.
        verified: whether the winner was trained on fresh seeds already.
    """
    if (predicted := configurations[0].predicted) is not None:
        return predicted.line()
    told = "= marks what cannot be told from the best at the 5 % level."
    if configurations[0].fresh:
        return (
            "± is over fresh seeds, where there are any; without them a score is flattered by its selection. The first "
            f"is scored on seeds of its own, the others on those of the race. {told}"
        )
    source = {
        "seeds": f"± is the standard error over the seeds of a trial; {told}",
        "validation sample": f"± is the sampling error of the validation set for one seed; {told}",
        "unknown": "One seed gives no error; replicates = 3 would.",
    }[configurations[0].standard_error_of]
    told = f"{source}\nThe best of many is flattered by its selection."
    if verified:
        return told
    own = spec.user_code is not None
    how = f"scored on fresh seeds{'' if own else ' and test data'}" if takes_seed(spec) else "run again"
    return f"{told} It is {how} by\n  batchlaw export {spec.name} --verify 5{' --file STUDY.toml' * own}"


def table_text(
    spec: StudySpec, configurations: list[Configuration], verified: Verification | None, per: str | None = None
) -> str:
    """The table, its footnote and the verification as plain text."""
    grid = table(spec, configurations, per)
    console = PlainConsole(file=io.StringIO(), width=120)
    console.width = max(120, console.measure(grid).maximum)
    console.print(grid)
    console.print(footnote(spec, configurations, verified=verified is not None))
    if verified:
        console.print(verified.line())
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _seeds(configuration: Configuration) -> str:
    """The number of fresh seeds behind the score."""
    return str(len(configuration.fresh.scores)) if configuration.fresh else ""


def _with_error(configuration: Configuration) -> str:
    error = configuration.score_error
    if configuration.predicted:
        return "predicted"
    return f"{configuration.score:.4f}" + (f" ± {error:.4f}" if error is not None else "")
