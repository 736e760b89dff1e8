"""What is right in a study file, and probably not what was meant."""

from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.study import StudySpec

_FAR_APART = 100  # assumption: two choices with nothing between them over two decades were meant as the ends of a range


def hints_of(spec: StudySpec) -> list[str]:
    """Sentences for whoever starts a study; none of them keeps it from running."""
    if spec.search is None:  # a claim names the levels of its grid
        return []
    hints = []
    for knob in KNOBS:
        given = getattr(spec.space, knob.name, None)
        if knob.kind is float and isinstance(given, tuple) and len(given) == 2:
            low, high = sorted(given)
            if low > 0 and high / low > _FAR_APART:
                hints.append(
                    f"space.{knob.name} = [{given[0]:g}, {given[1]:g}] is a choice between two values; "
                    f"a range is {{low = {low:g}, high = {high:g}, log = true}}"
                )
    return hints
