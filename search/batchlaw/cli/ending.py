"""The end of a run: what was found, what is left to do, and the next commands."""

from typing import TYPE_CHECKING

from batchlaw.cli.console import DEFAULT_URL, output
from batchlaw.cli.figure import show_law
from batchlaw.study import Study

if TYPE_CHECKING:
    from batchlaw.laws import Law


def conclude(study: Study, storage: str, *, stopped: bool, again: str, figure: bool | None = None) -> None:
    """Print the outcome, its figure if it is wanted (see `show_law`), and the next commands."""
    from batchlaw.export.table import footnote, table
    from batchlaw.results.code_changes import code_changes
    from batchlaw.results.status import best_line, counts_line, gain_lines

    status, best = study.status(), list(study.best(5))
    output.print(counts_line(status))
    if note := code_changes(study.stored):
        output.print(f"note: {note}", soft_wrap=True)
    if best:
        output.print(table(study.spec, best))
        output.print(footnote(study.spec, best), style="dim", soft_wrap=True)
        for line in (*study.answer(), *gain_lines(status)):
            told = study.spec.claim is not None or line.startswith("Use")
            output.print(line, soft_wrap=True, markup=False, style="bold" if told else "")
    else:
        output.print(f"{best_line(status).capitalize()}." if status.breaks else "No trial ended with a score.")
    option = "" if storage == DEFAULT_URL else f" --storage '{study.storage}'"
    if status.without_result:
        n = status.without_result
        output.print(
            f"{n} trial{'s have' if n != 1 else ' has'} no result, since every attempt failed; have "
            f"{'them' if n != 1 else 'it'} run again with: batchlaw retry {study.name}{option}",
            soft_wrap=True,
        )
    if not status.slots.ended:
        budget = study.spec.arm.budget_seconds
        left = f"{status.slots.total - status.slots.done} trials"
        if status.slots.open_ended:
            left = f"{max((budget or 0.0) - status.seconds, 0.0):,.0f} s"
        elif budget is not None and status.seconds >= budget:  # of a designed study
            again += " --timeout SECONDS"
        output.print(
            f"{'Stopped' if stopped else 'Ended'} with {left} to go; continue with: {again}{option}", soft_wrap=True
        )
    if not best:
        return
    laws = _laws(study)
    for law in laws:
        if any(record.number == best[0].trial for record in law.records):
            config = best[0].config
            show_law(law, figure, None if study.spec.claim else (config.batch_size, config.peak_lr))
    for place, command in enumerate(_next_commands(study, has_law=any(law.fitted for law in laws))):
        output.print(f"{'Next:' if place == 0 else '     '} batchlaw {command}{option}", soft_wrap=True)


def _next_commands(study: Study, *, has_law: bool) -> list[str]:
    """What to do with the results, to paste."""
    from batchlaw.export import usual_format

    name = study.name
    if study.spec.claim is not None:
        return [f"claim {name} --html {name}.html", "dashboard"]
    form = usual_format(study.spec)
    export = f"export {name} --format {form}" + " -o best.py" * (form == "python")
    return [export, f"report {name}", *([f"law {name}"] if has_law else []), "dashboard"]


def _laws(study: Study) -> "list[Law]":
    """The laws of the study, as the command law tells them."""
    from batchlaw.laws import known_laws
    from batchlaw.results.records import known_trials

    known = known_trials(study.stored)
    return known_laws(study.spec, known.records, ended=known.ended)
