"""batchlaw: search batch size and learning rate jointly, and test the claims made about them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchlaw.objectives.trial import Trial
    from batchlaw.study import Study

__version__ = "0.1.0"
__all__ = ["Study", "Trial"]
# Imported when a name is first used, so that the command starts fast.
_MODULES = {"Study": "batchlaw.study", "Trial": "batchlaw.objectives.trial"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
