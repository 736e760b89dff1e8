"""Reports as one HTML file: of the verdicts on a study or file, and of whole studies."""

from collections.abc import Sequence
from typing import Any

from batchlaw.claims.designed import Block
from batchlaw.claims.observed import Observed
from batchlaw.export.provenance import interval_of
from batchlaw.figures.accounts import Account
from batchlaw.figures.batches import outcomes_by_batch_size
from batchlaw.figures.comparison import comparison
from batchlaw.figures.facts import facts_of
from batchlaw.figures.gallery import trial_figures
from batchlaw.figures.labels import Labels, labels_of
from batchlaw.figures.observed import observed_figure
from batchlaw.figures.pages import drawings, page
from batchlaw.figures.parts import part_of, pooled, verdict_of_each
from batchlaw.figures.ridges import figures
from batchlaw.figures.style import words
from batchlaw.recipe.result import ENDINGS
from batchlaw.results.answer import Answer
from batchlaw.results.columns import columns_of, heading_of, sentence_of, text_of
from batchlaw.results.configuration import Configuration
from batchlaw.results.plain import name_of
from batchlaw.results.status import counts_line
from batchlaw.spec import fingerprint, toml_of

_TOP = 5  # configurations
_SOURCES = {
    "seeds": "are over the seeds of a trial (Student's t)",
    "fresh seeds": "are over fresh seeds (Student's t), where there are two or more",
    "validation sample": "are the sampling error of the validation set for one seed",
    "unknown": "are unknown, since one seed gives no error",
}
_COURSE = ("outcomes", "history", "timeline")  # figures of the course of the trials, shown after the results


def claim_report(
    judged: list[Block], labels: Labels, notes: Sequence[str], described: Sequence[tuple[dict[str, Any], Observed]] = ()
) -> str:
    """The page of the verdicts on a study or a file, with their evidence, and of what runs without a verdict show."""
    return page(
        "claim.html",
        title=labels.title,
        question=labels.question,
        parts=_parts(judged, labels, "claim"),
        pooled=pooled(judged),
        notes=notes,
        described=[_description(number, *part) for number, part in enumerate(described)],
    )


def _description(number: int, levels: dict[str, Any], seen: Observed) -> dict[str, Any]:
    drawn = observed_figure(seen)
    shown = drawings({"observed": drawn}, f"observed-{number}") if drawn is not None else {}
    return {"name": name_of(levels), "sentences": seen.sentences, "figures": shown}


def study_report(
    accounts: Sequence[Account], *, written: str, served: int | None = None, script: str | None = None
) -> str:
    """The page of studies, from question to costs; several are compared first.

    Args:
        accounts: of the studies.
        written: the date to print.
        served: the number of the study, of a page that the dashboard serves; it is loaded again until the study ends.
        script: where such a page finds Plotly.
    """
    names = [account.spec.name for account in accounts]
    return page(
        "studies.html",
        script=script,
        served=served,
        live=served is not None and not all(account.status.slots.ended for account in accounts),
        title=", ".join(names),
        studies=[_study(account) for account in accounts],
        compared=_compared(accounts) if len(accounts) > 1 else None,
        written=written,
    )


def _study(account: Account) -> dict[str, Any]:
    """The values of the template for one study."""
    spec, best = account.spec, account.best(_TOP)
    answer = Answer.of(account.standings)
    # What is the same in every trial stands among the facts.
    columns = [name for name in columns_of(spec) if name == "peak_lr" or name in {*spec.searched} - {"scaling_rule"}]
    surfaces = any(findings[0].evidence for block in account.judged for _, findings in block)
    drawn = drawings(trial_figures(spec, account.records, account.laws, with_map=not surfaces), spec.name)
    outcomes = outcomes_by_batch_size(account.records)
    return {
        "name": spec.name,
        "question": spec.purpose,
        "metric": words(spec.arm.metric),
        "counts": counts_line(account.status),
        "lack": account.lack,
        "laws": [(law.name, law.lines()) for law in account.laws if law.fitted or account.spec.claim],
        "parts": _parts(account.judged, labels_of(spec), spec.name),
        "pooled": pooled(account.judged),
        "notes": account.notes,
        "all_ended": account.status.slots.ended,
        "headings": list(map(heading_of, columns)),
        "best": [(each, _interval(each), [text_of(each.config, name) for name in columns]) for each in best],
        "answer": answer.lines() if answer and account.status.slots.ended else (),
        "source": _SOURCES["fresh seeds" if best[0].fresh else best[0].standard_error_of] if best else "",
        "figures": {name: drawing for name, drawing in drawn.items() if name not in _COURSE},
        "course": {name: drawing for name, drawing in drawn.items() if name in _COURSE},
        "outcomes": outcomes,
        "outcome_names": [name for name in ENDINGS if any(row.counts.get(name) for row in outcomes)],
        "prunes": spec.search is not None and spec.search.pruner != "none",
        "facts": facts_of(spec),
        "examples": account.status.examples,
        "toml": toml_of(spec),
        "costs": account.costs,
        "versions": account.versions,
        "fingerprint": fingerprint(spec),
    }


def _parts(judged: list[Block], labels: Labels, prefix: str) -> list[dict[str, Any]]:
    """The values of the template for each judged surface and for the hypotheses about all runs, with figures."""
    parts = []
    for number, (stratum, findings) in enumerate(part for block in judged for part in block):
        evidence = findings[0].evidence
        drawn = figures(evidence, labels) if evidence is not None else {}
        parts.append(part_of(stratum, findings) | {"figures": drawings(drawn, f"{prefix}-{number}")})
    return parts


def _interval(configuration: Configuration) -> str:
    """The 95 % interval, such as `0.9697 – 0.9921`; empty if unknown."""
    low, high = interval_of(configuration)
    return "" if low is None or high is None else f"{low:.4f} – {high:.4f}"


def _compared(accounts: Sequence[Account]) -> dict[str, Any]:
    """The values of the template for the comparison of studies."""
    verdicts = {account.spec.name: verdict_of_each(account.judged) for account in accounts if account.judged}
    rows = []
    for account in accounts:
        best = account.best(1)
        rows.append(
            {
                "name": account.spec.name,
                "metric": words(account.spec.arm.metric),
                "best": best[0] if best else None,
                "interval": _interval(best[0]) if best else "",
                "told": sentence_of(best[0].config, columns_of(account.spec)) if best else "",
                "trials": account.status.slots.done,
            }
        )
    return {
        "rows": rows,
        "figures": drawings(comparison([(account.spec, account.records) for account in accounts]), "comparison"),
        "verdicts": verdicts,
        "hypotheses": list(dict.fromkeys(name for found in verdicts.values() for name in found)),
    }
