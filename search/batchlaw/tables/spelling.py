"""Cells of a table as numbers, truth values or text, by their spelling. The one place for spellings."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Spellings in a file, without blanks at the ends and in any case. A tool that writes NaN has computed it, so the run
# diverged; a tool that writes nothing has no score, whatever the reason.
MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "<na>", "null", "none", "-", "–", "—", "n.a.", "...", "…", "?", ".", "[]"}
)
# What people write in the place of a score that they do not have.
REASONS = frozenset({
    "oom", "out of memory", "cuda oom", "pending", "tbd", "todo", "running", "queued", "skipped", "skip", "not run",
    "failed", "fail", "crashed", "crash", "killed", "timeout", "timed out", "preempted", "cancelled", "canceled",
    "error", "missing", "lost", "dnf", "did not finish", "did not converge", "not converged", "not reached", "never",
})  # fmt: skip
_DIVERGED = frozenset({"diverged", "diverges", "div", "div.", "diverge", "exploded", "explodes", "blew up", "overflow"})
_NOT_FINITE = re.compile(
    r"[+-]?(?:nan(?:\(\w*\))?|inf(?:inity)?|∞|1\.#(?:inf|qnan|snan|ind)\d*)", re.IGNORECASE
)  # 1.#INF and its like are what C programs print on Windows
_QUOTED = re.compile(r"=?\"(?P<text>[^\"]*)\"|'(?P<bare>[^']+)")  # text to Excel: ="0.1" or '0.1
# What Python prints of a number of NumPy, PyTorch or JAX: np.float64(0.93), tensor(0.93, device='cuda:0').
OF_LIBRARIES = re.compile(
    r"(?:np|numpy|torch|jnp)?\.?(?:float\d*|int\d*|tensor|array)\((?P<value>[^(),]+)(?:,[^()]*)?\)", re.IGNORECASE
)
_LETTERS = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_AMOUNT = re.compile(
    r"(?P<number>[\d.,' ]*\d)\s*(?P<letter>[kmgb]?)\s*(tokens?|toks?|examples?|samples?|sequences?|seqs?|images?)?",
    re.IGNORECASE,
)
_TEX = re.compile(r"\\(?:math|text)(?:bf|it|rm|tt)|\\(?:underline|emph|boldsymbol|bm)")
_REMARK = re.compile(r"\s*\((?:n\s*=\s*\d+|[a-z][^()]*|\d+\s*[a-z][^()]*)\)")  # such as "(default)" or "(n=5)"
_MARKS = re.compile(r"[*_`~$↓↑↘↗✓✔†‡§★⭐¹²³]+|\[\^?\w{1,3}\]")  # emphasis, arrows and footnotes around a number
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,\u00a0\u202f' ’]\d{3})+(?:\.\d+)?")
_POWER = re.compile(
    r"(?:(?P<times>[+-]?[\d.]+)\s*[x×·]\s*)?(?P<base>[\d.]+)\s*(?:\^|\*\*)\s*[({]?\s*(?P<power>[+-]?[\d.]+)\s*[)}]?"
)
_SUPERSCRIPT = re.compile(r"(?<=\d)([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)$")
_FROM_SUPERSCRIPT = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_PRODUCT = re.compile(r"\d+(?:\s*[x×*]\s*\d+)+", re.IGNORECASE)
_FRACTION = re.compile(r"(?P<above>[\d.]+)\s*/\s*(?P<below>[\d.]+)")
_SPREAD = re.compile(r"(?P<mean>.+?)\s*(?:±|\+/-|\+-|\\pm)\s*(?P<spread>[\d.]+(?:e[-+]?\d+)?)\s*%?", re.IGNORECASE)
_BRACKETED = re.compile(r"(?P<mean>[^(]+?)\s*\(\s*(?:±|\+/-)?\s*(?P<spread>[\d.]+(?:e[-+]?\d+)?)\s*\)", re.IGNORECASE)
# A number with a decimal comma, perhaps with points between thousands.
_COMMA = re.compile(r"\s*[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:e[+-]?\d+)?\s*%?\s*", re.IGNORECASE)

_WHOLE = re.compile(r"\s*[+-]?[1-9]\d{0,2}(?:\.\d{3})+\s*")
_PERHAPS_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(?:,\d{3})+\s*")
_POINT = re.compile(r"\s*[+-]?(?:\d*\.\d{1,2}|\d*\.\d{4,}|0\.\d+|\d{4,}\.\d+)(?:e[+-]?\d+)?\s*%?\s*", re.IGNORECASE)


def by_distinct(column: "pd.Series[Any]", of: Callable[[str], Any], if_absent: Any) -> NDArray[Any]:
    """A function of the text of every cell, without blanks at its ends; it is called once for each distinct text."""
    texts = column if column.dtype == "str" else column.map(str, na_action="ignore")
    codes, distinct = pd.factorize(texts)
    found = [of(text.strip()) for text in distinct]
    return np.asarray(np.array([*found, if_absent])[codes])  # the code of an absent value is -1


def plain(column: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """A column of text as floats, infinite where they are not finite, if every cell is a number to Python; else None.

    It is what `by_distinct(column, number, …)` gives, in a tenth of the time.
    """
    if column.dtype != "str" or column.isna().any():
        return None
    try:
        found = column.to_numpy(dtype=object).astype(float)
    except ValueError:
        return None
    return np.where(np.isfinite(found), found, np.inf)


def number(text: str) -> float | None:
    """The number in a cell: NaN if it is missing, infinite if it is spelled as not finite, None if it is no number.

    `2^-8`, `1/256`, `3·10⁻⁴`, `4,571`, `38.6%` (38.6), `3.703 ± 0.004` (3.703), `**4.01**` and `1e-3*` are numbers.
    """
    try:
        found = float(text)
    except ValueError:
        return _written(text)
    return found if np.isfinite(found) else np.inf


def _written(text: str) -> float | None:
    """A number that Python does not read."""
    bare = text.strip().lower()
    if quoted := _QUOTED.fullmatch(bare):
        return number(quoted["text"] if quoted["bare"] is None else quoted["bare"])
    if printed := OF_LIBRARIES.fullmatch(bare):
        return number(printed["value"])
    if "\\" in bare:
        bare = _TEX.sub("", bare).replace("\\times", "×").replace("\\cdot", "·").replace("\\pm", "±")
        return number(re.sub(r"[{}$]", "", bare)) if "\\" not in bare else None
    if bare in MISSING or bare in REASONS:
        return np.nan
    if (remark := _REMARK.search(bare)) and remark.end() == len(bare) and remark.start():
        return number(bare[: remark.start()])
    if _NOT_FINITE.fullmatch(bare) or bare in _DIVERGED:
        return np.inf
    if spread := _SPREAD.fullmatch(bare) or _BRACKETED.fullmatch(bare):
        return number(spread["mean"].strip())
    bare = _SUPERSCRIPT.sub(lambda found: f"^{found[1].translate(_FROM_SUPERSCRIPT)}", bare)
    power = _POWER.fullmatch(bare.strip("*_`~$ "))
    try:
        if power:
            return float(float(power["times"] or 1) * float(power["base"]) ** float(power["power"]))
        plain = _MARKS.sub("", bare).replace("\u2212", "-").strip()
        if plain != bare:
            return number(plain)
        if fraction := _FRACTION.fullmatch(bare):
            return float(fraction["above"]) / float(fraction["below"])
        if _THOUSANDS.fullmatch(bare):
            return float(re.sub(r"[^\d.+-]", "", bare))
        if bare.endswith("%"):
            return float(bare[:-1])
    except (ValueError, ArithmeticError):
        pass
    return None


def amount(text: str) -> float | None:
    """As `number`, of batch sizes: also `32k` (32,000), `0.5M tokens`, `bs=64` and `32x8`, of 8 devices."""
    value = number(text)
    if value is not None:
        return value
    if is_product(text):
        return float(np.prod([int(part) for part in re.findall(r"\d+", text)]))
    found = _AMOUNT.fullmatch(re.sub(r"^[a-z_ ]+[=: ]?(?=\d)", "", text.strip(), flags=re.IGNORECASE))
    value = number(found["number"]) if found else None
    return None if found is None or value is None else value * _LETTERS.get(found["letter"].lower(), 1.0)


def is_product(text: str) -> bool:
    """Whether a cell is a product of whole numbers, such as `32x8` or `4 × 8 × 2`."""
    return _PRODUCT.fullmatch(text.strip()) is not None


def spread(text: str) -> float:
    """What stands behind ± in a cell, NaN where nothing does."""
    bare = _REMARK.sub("", re.sub(r"[{}$]", "", _TEX.sub("", text))).strip("*_` ")
    found = _SPREAD.fullmatch(bare) or _BRACKETED.fullmatch(bare)
    if found is None or number(found["mean"].strip()) is None:
        return np.nan
    return float(number(found["spread"]) or np.nan)


def with_points(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells of text whose decimal commas are points.

    A comma is taken for a decimal one if some number that has one could not have it between thousands, and no number of
    the table has a decimal point. Then a point stands between thousands: 32.000 is 32000.
    """
    distinct = {text for _, column in cells.items() for text in column.unique()}
    numbers = {text for text in distinct if "," in text and _COMMA.fullmatch(text)}
    if all(_PERHAPS_THOUSANDS.fullmatch(text) for text in numbers) or any(map(_POINT.fullmatch, distinct)):
        return cells
    whole = {text for text in distinct if _WHOLE.fullmatch(text)}
    pointed = {text: text.replace(".", "").replace(",", ".") for text in numbers | whole}
    return cells.map(lambda text: pointed.get(text, text))


def typed(column: "pd.Series[Any]") -> NDArray[Any]:
    """A column as numbers if all its cells are, as truth values if all are true or false, else as text, (n,).

    A missing number is NaN, a missing text is empty.
    """
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy(bool))
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy())
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    texts = by_distinct(column, lambda text: text, "").astype(object)
    distinct = set(texts)
    if {text.lower() for text in distinct} <= {"true", "false"}:
        return np.asarray(by_distinct(column, lambda text: text.lower() == "true", False), bool)
    if all(re.fullmatch(r"[+-]?\d{1,18}", text) for text in distinct):
        return by_distinct(column, int, 0)
    known = [number(text) for text in distinct]
    if None in known or all(value != value for value in known):
        return texts
    return by_distinct(column, number, np.nan).astype(float)
