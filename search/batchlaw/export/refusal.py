"""An export raises where its format cannot express a configuration, so that nothing is approximated silently."""

from batchlaw.errors import BatchlawError


def refused(form: str, field: str, value: object, why: str) -> BatchlawError:
    """The error that names the format, the field of the configuration, its value and the reason."""
    return BatchlawError(f"{field} is {value!r}, and {why}", argument="format", got=form)
