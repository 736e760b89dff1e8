"""The glossary of the documentation: every term of the field that a page uses is defined, once and in order."""

import re
from itertools import pairwise

from tests.documentation import PAGES, ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
# Terms of statistics, of training and of this program that a newcomer may not know. One that a page uses needs an
# entry; those that no page uses are here for the page that will.
TERMS = """
adaptive design, ANOVA, B, B_opt, base rate, batch sharpness, bootstrap, budget, cell, censored, claim, confidence
set, contender, critical batch size, decay, designed, diverged, ε, ε_opt, exponent, factor, factorial, family,
fingerprint, fitted, fold, fresh seeds, front, Gaussian process, grade, half-life, held out, heteroscedastic, horizon,
identified, inconclusive, knob, law, lease, level, lost, missing, noise scale, no relation, observed, octave,
optimism, peak rate, posterior, pruned, pruner, race, refuted, regret, replicate, replicated, ridge, rung, sampler,
scaling rule, seed, slope, slot, stacked, staggered, stratum, study, supported, surface, target, tied, transfer,
trial, trunk, undecided, verdict, warmup, worker
"""


def terms():
    return [term.strip() for term in TERMS.replace("\n", " ").split(",")]


def entries():
    """The terms that the glossary defines, in its order."""
    return re.findall(r"^(\S.*)\n:   ", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)


def prose():
    """The text of all pages but the glossary, without blocks of code and names in code."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES if page != GLOSSARY]
    text = re.sub(r"^```.*?^```$|<!--.*?-->", "", "\n".join(pages), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|https?://\S+", "", text)


def is_used(term, text):
    return re.search(rf"(?<![\w.]){re.escape(term)}(?:s|es)?(?![\w=])", text, re.IGNORECASE) is not None


def test_every_term_that_a_page_uses_is_defined():
    text, known = prose(), {entry.lower() for entry in entries()}
    assert not [term for term in terms() if is_used(term, text) and term.lower() not in known]


def test_a_term_without_a_definition_would_be_found():
    assert is_used("rung", "Hyperband has three rungs.") and not is_used("rung", "They are wrung out.")
    assert is_used("ε_opt", "the best rate, ε_opt, moves") and not is_used("ε", "ε_opt moves")


def test_definitions_are_of_terms_that_pages_use_each_once_and_in_order():
    found = entries()
    text = "\n".join(re.sub(r"^\S.*\n:   ", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE) for page in PAGES)
    assert set(found) <= set(terms()) and len(set(found)) == len(found)
    assert not [entry for entry in found if not is_used(entry, text)]
    names = [entry.replace("ε", "epsilon").replace("_", " ").lower() for entry in found]
    assert all(one < other for one, other in pairwise(names))


def test_links_to_the_glossary_lead_there():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)]*glossary[^)]*)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link.partition("#")[0]).resolve() == GLOSSARY, f"{page}: {link}"
