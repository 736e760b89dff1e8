"""Figures of the documentation agree with the results that they come from.

A page names them in a comment behind the paragraph or table, so that a change of either side is found:

    <!-- from racing.json
    methods.race.within_one: 96 %
    -->

The file lies in tests/benchmarks/results. Each line has the place of a value in it, and the words of the page with the
value as it is printed there; "none" and "no" are 0. A place is keys with dots between them, of a list numbers or
`[key=value]`; of all items where there is neither. `sum()` and `count()` of a list, `/` and `*` may stand there. An
interval is `mean [low, high]`. A row of a table is one line: several places with `; ` between them, and its cells.
"""

import json
import re
from pathlib import Path

import pytest

from tests.documentation import PAGES, ROOT

RESULTS = ROOT / "tests" / "benchmarks" / "results"
_MARK = re.compile(r"^ *<!-- from (\S+)\n(.*?)^ *-->$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|\bnone\b|\bno\b")


def value_at(found, place):
    """What lies at a place of a result, or at several."""
    if "; " in place:
        values = [value_at(found, part) for part in place.split("; ")]
        return [each for value in values for each in (value if isinstance(value, list) else [value])]
    for operator, apply in ((" / ", lambda a, b: a / b), (" * ", lambda a, b: a * b)):
        if operator in place:
            left, right = (value_at(found, part) for part in place.split(operator))
            values = left if isinstance(left, list) else [left]
            changed = [apply(value, right) for value in values]
            return changed if isinstance(left, list) else changed[0]
    if re.fullmatch(r"[\d.]+", place):
        return float(place)
    if call := re.fullmatch(r"(sum|count)\((.*)\)", place):
        items = value_at(found, call[2])
        return sum(items) if call[1] == "sum" else sum(map(bool, items))
    for part in re.findall(r"[^.\[\]]+=[^\]]+|[^.\[\]]+", place):
        key, is_filter, wanted = part.partition("=")
        if isinstance(found, dict):
            found = found[part]
        elif is_filter:
            chosen = [item for item in found if str(item[key]) == wanted]
            found = chosen[0] if len(chosen) == 1 else chosen
        else:
            found = found[int(part)] if part.isdigit() else [item[part] for item in found]
    return [found[end] for end in ("mean", "ci_low", "ci_high")] if isinstance(found, dict) else found


def agree(words, value):
    """Whether words print a value, or several, rounded as they are. In a row of a table % holds for its cell."""
    printed = [(text, 100 if "%" in cell else 1) for cell in words.split("|") for text in _NUMBER.findall(cell)]
    values = value if isinstance(value, list) else [value]
    if len(printed) != len(values):
        return False
    for (text, hundredfold), each in zip(printed, values, strict=True):
        number = "0" if text in ("none", "no") else text.replace(",", "")
        decimals = len(number.partition(".")[2])
        if abs(hundredfold * each - float(number)) > 0.5001 * 10**-decimals:
            return False
    return True


def marks(page):
    """Of each mark of a page the result, the lines, and the words of its section before it."""
    text = page.read_text(encoding="utf-8")
    for mark in _MARK.finditer(text):
        before = re.split(r"^#", text[: mark.start()], flags=re.MULTILINE)[-1]
        yield mark[1], [line.strip() for line in mark[2].splitlines() if line.strip()], " ".join(before.split())


MARKED = [page for page in PAGES if next(marks(page), None) is not None]


def test_pages_with_figures_are_found():
    names = {page.name for page in MARKED}
    assert names >= {"README.md", "speed.md", "calibration.md", "study-file.md", "tables.md"}


@pytest.mark.parametrize("page", MARKED, ids=[page.relative_to(ROOT).as_posix() for page in MARKED])
def test_figures_of_a_page_agree_with_their_results(page):
    for name, lines, section in marks(page):
        found = json.loads(Path(RESULTS, name).read_text(encoding="utf-8"))
        for line in lines:
            place, _, words = line.partition(": ")
            assert words in section, f"{name}: {words!r} is not on the page"
            assert agree(words, value_at(found, place)), f"{name}: {line}; it is {value_at(found, place)}"


def test_a_stale_figure_would_be_found():
    found = {
        "rows": [{"a": 1, "share": 0.956}, {"a": 2, "share": 0.2}],
        "cost": {"mean": 0.17, "ci_low": 0.1, "ci_high": 0.3},
    }
    assert agree("in 96 % of", value_at(found, "rows[a=1].share")) and not agree("in 95 % of", 0.956)
    assert agree("0.17 [0.10, 0.30]", value_at(found, "cost")) and not agree(
        "0.17 [0.10, 0.31]", value_at(found, "cost")
    )
    assert value_at(found, "sum(rows.a)") == 3 and value_at(found, "count(rows.a)") == 2
    assert (
        agree("4.8 times", value_at(found, "rows.0.share / rows.1.share")) and agree("none", 0) and not agree("no", 1)
    )
    assert agree("1,000 rows", 1000) and not agree("two", 2)
    row = value_at(found, "rows.0.a; rows.0.share; cost; rows.1.share * 1000")
    assert agree("| 1 | 96 % | 0.17 [0.10, 0.30] | 200 |", row)
    assert not agree("| 1 | 96 % | 0.17 [0.10, 0.30] | 20 % |", row)
