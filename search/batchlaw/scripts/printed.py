"""What a script prints of its metrics: regular expressions for its lines, from the texts in its source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = r"([-+0-9.eEnaif]+)"  # NaN and infinity are outcomes, too
_HOLE = "\0"  # where a value is printed
_SETS = "val|valid|validation|dev|eval|test|train|training"
_METRIC = re.compile(
    rf"(?P<head>(?:\b(?:(?:{_SETS})[ _/\-]+(?:set[: ]+)?|(?:average|avg|final|best|mean)[ _/\-]+))*(?:[a-z]+_)*)"
    r"(?P<what>loss|accuracy|acc@?1|acc|top-?1|ppl|perplexity|bleu|f1|auc|error|return|reward|score)"
    r"(?P<tail>(?:_[a-z0-9]{1,12})?)"  # `Loss_D` of a GAN
    rf"(?P<after>(?: (?:on|of|in|for)(?: the)? (?:{_SETS})(?: set| data)?)?[^\0\w]{{0,4}})\0(?P<ratio>/\0)?",
    re.IGNORECASE,
)
# `Train Epoch: 3`, `epoch 3/10`, `step 300:`; not the number of an epoch after `step`.
_COUNTERS = {
    unit: re.compile(rf"\b(?P<words>(?:[a-z]+ )?(?:{word})[^\0\w]{{0,3}})\0(?P<ratio> ?(?:/|of) ?\0)?", re.IGNORECASE)
    for unit, word in (("epochs", "epoch|ep"), ("steps", "step|iter|iteration"))
}
_PREFERRED = ("val", "dev", "eval", "test")
_UP = ("acc", "bleu", "f1", "auc", "return", "reward", "top", "score")


@dataclass(frozen=True)
class Printed:
    """A metric in the output of a script."""

    name: str
    regex: str
    direction: str  # maximize or minimize


def printed_metrics(source: str) -> list[Printed]:
    """The metrics that a script seems to print, those of validation data first."""
    found: dict[str, Printed] = {}
    for text in _texts(ast.parse(source)):
        for match in _METRIC.finditer(text):
            words = match.group("head") + match.group("what") + match.group("tail")
            name = re.sub(r"\W+", "_", words.lower()).strip("_").replace("_set_", "_")
            if not re.search(_SETS, name):  # `Test set: average loss` names the set before
                line = text[: match.start()].rpartition("\n")[2].lower()
                line += match.group("after").lower()  # and `acc on val` after
                scopes = re.findall(rf"\b(?:{_SETS})\b", line)
                name = f"{scopes[-1]}_{name}" if scopes else name
            # Of a bare `loss` the signs before it tell it from `train loss`.
            before = re.search(r"[^\w\0]{0,2}$", text[: match.start()])
            signs = before.group(0) if before and not match.group("head") else ""
            told = re.escape(signs.lstrip() + words + match.group("after").rstrip(" "))
            told = told.replace(r"\ ", " ").replace("\\\t", r"\s")
            regex = rf"{told}\s*{_NUMBER}" + (f"/{_NUMBER}" if match.group("ratio") else "")
            direction = "maximize" if match.group("what").lower().startswith(_UP) else "minimize"
            found.setdefault(name, Printed(name, regex, direction))
    return sorted(found.values(), key=_rank)


def printed_progress(source: str, unit: str) -> tuple[str, bool] | None:
    """The regular expression of a line that tells how far a script is, and whether it tells of how many, too.

    Args:
        source: of the script.
        unit: epochs or steps.
    """
    # Best the line that tells a metric as well, then one that tells of how many.
    found = [(text, match) for text in _texts(ast.parse(source)) if (match := _COUNTERS[unit].search(text))]
    found.sort(key=lambda each: (not _METRIC.search(each[0]), not each[1].group("ratio")))
    if not found:
        return None
    match = found[0][1]
    words = re.escape(match.group("words").rstrip(" ")).replace(r"\ ", " ").replace("\\\t", r"\s")
    ratio = match.group("ratio")
    return rf"{words}\s*(\d+)" + (rf"\s*{ratio.strip(_HOLE + ' ')}\s*(\d+)" if ratio else ""), bool(ratio)


def _rank(metric: Printed) -> int:
    """Validation data first, training data last."""
    if metric.name.startswith("train"):
        return len(_PREFERRED) + 1
    return next((rank for rank, word in enumerate(_PREFERRED) if metric.name.startswith(word)), len(_PREFERRED))


def _texts(tree: ast.Module) -> Iterator[str]:
    """Texts with a hole where a value is printed: f-strings, and those of `format` and `%`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else _HOLE
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 1000:
            text = re.sub(r"\{[^{}]*\}|%[-+0-9.]*[dfeEgs]", _HOLE, node.value)
            if _HOLE in text:
                yield text
