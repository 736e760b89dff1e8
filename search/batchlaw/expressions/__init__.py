"""A small language for expressions that users write: arithmetic and conditions over columns or placeholders.

    depth == 2 and 1e-4 < weight_decay <= 1e-2
    base_lr * sqrt(batch_size / 128)
    `val/loss` > 6 or State in ('crashed', 'failed')

It has numbers, `True` and `False`, names, text, `+ - * / % **`, the functions sqrt, log, log2, log10, abs, floor, ceil,
round, min and max, comparisons (which may be chained, as in Python), `and`, `or`, `not`, `in (…)` and `not in (…)`, and
parentheses. A name is made of letters, digits, `_` and dots. Any other name stands in backticks. Text stands in single
quotes. What stands in double quotes is the name of a column if there is one, else it is text.

An expression is parsed here and never evaluated by Python or pandas, so that it can neither run code nor reach an
attribute. Numbers are floats, and a division by 0 is infinite. A comparison with NaN is false, and `!=` is true.

A template is text with expressions in braces, such as `--batch-size={batch_size / 4}`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchlaw.expressions.expression import Expression as Expression
    from batchlaw.expressions.template import Template as Template

# Imported when first used: study files are read without NumPy where they have no expressions.
_MODULES = {"Expression": "batchlaw.expressions.expression", "Template": "batchlaw.expressions.template"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
