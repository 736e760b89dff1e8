"""What a format cannot express is refused, not approximated in silence."""

from batchlaw.errors import BatchlawError


def refused(form: str, field: str, value: object, why: str) -> BatchlawError:
    """One line that names the format, the field of the configuration, its value and the reason."""
    return BatchlawError(f"--format {form}: {field}: got {value!r}; {why}")
