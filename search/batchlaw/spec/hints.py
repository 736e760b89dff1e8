"""What is right in a study file, and probably not what was meant."""

from batchlaw.spec.knobs import KNOBS
from batchlaw.spec.study import StudySpec

_FAR_APART = 100  # assumption: two choices with nothing between them over two decades were meant as the ends of a range
_FEW_EPOCHS = 3  # Hyperband of ten reports decides at 10 and 30 % of the budget


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
    if spec.search.pruner != "none" and (why := _never_pruned(spec)):
        hints.append(f"no trial can be pruned: {why}")
    return hints


def _never_pruned(spec: StudySpec) -> str | None:
    """Why the pruner never sees a trial before its end; None if it may."""
    epochs = spec.budget.epochs if spec.budget is not None and spec.user_code is not None else None
    if epochs is not None and epochs <= _FEW_EPOCHS and spec.search is not None and spec.search.reports != epochs:
        every = f"; search.reports = {epochs:g} compares trials after each epoch" if epochs > 1 else ""
        return f"a metric that is told once an epoch is told too seldom in {epochs:g}{every}"
    if spec.command is None:
        return None
    listener = spec.metrics.get(spec.arm.metric)
    if listener is not None and listener.tensorboard is not None:
        return f"metrics.{spec.arm.metric} is read from TensorBoard when the program has ended"
    if listener is not None and spec.progress is None:
        return f"how far the program is when it tells {spec.arm.metric} is not known; a table [progress] says it"
    return None
