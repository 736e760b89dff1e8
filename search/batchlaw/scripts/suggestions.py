"""Ranges around the defaults of a script, as a study file spells them."""

from math import floor, log2

from batchlaw.scripts.script import Default

_RATES = 30  # the factor by which a learning rate may leave its default, either way (assumption)
_OCTAVES = 3  # by which a batch size may leave its default (assumption)


def toml_value(value: Default) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value + "'" if "'" not in value and ("\\" in value or '"' in value) else _quoted(value)
    return repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def around(default: float, factor: float = _RATES) -> str:
    """A range on a log scale, a factor either way, with ends of one digit."""
    low, high = (float(f"{end:.0e}") for end in (default / factor, default * factor))
    return f"{{low = {low!r}, high = {high!r}, log = true}}"


def powers_around(default: int) -> str:
    """A range of powers of two, some octaves either way."""
    middle = round(log2(max(default, 1)))
    return f"{{low = {2 ** max(middle - _OCTAVES, 0)}, high = {2 ** (middle + _OCTAVES)}, log2 = true}}"


def near(default: float) -> str:
    """Values near the default of a parameter: half and twice as much."""
    if isinstance(default, int) and default > 0:
        values = sorted({max(default // 2, 1), default, default * 2})
        return f"[{', '.join(map(str, values))}]"
    if default <= 0:
        return "{low = 0.0, high = 0.5}"
    if 0.9 <= default < 1:  # such as a discount: half a decade either way from 1
        return f"{{low = {1 - 3 * (1 - default):.3g}, high = {1 - (1 - default) / 3:.4g}}}"
    return f"{{low = {default / 2!r}, high = {min(2 * default, 1.0) if default <= 1 else 2 * default!r}}}"


def whole(value: float) -> int | float:
    """A whole number without its point."""
    return int(value) if value == floor(value) else value
