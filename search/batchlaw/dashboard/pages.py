"""optuna-dashboard with our trials as we show them, and our figures in order."""

from collections.abc import Callable
from typing import Any

import optuna_dashboard
from optuna.storages import RDBStorage

from batchlaw.dashboard.curves import Curves
from batchlaw.dashboard.guard import Application
from batchlaw.dashboard.trials import ShownTrials


def pages(storage: RDBStorage) -> Application:
    """The dashboard as a WSGI application without access control; see `guarded`."""
    shown = ShownTrials(storage)
    dashboard = optuna_dashboard.wsgi(shown, artifact_store=Curves(shown))
    dashboard.install(_in_order)
    application: Application = dashboard
    return application


def _in_order(view: Callable[..., Any]) -> Callable[..., Any]:
    """Sort the figures of a study by their names, which begin with a number; the dashboard gives them unordered."""

    def ordered(*args: Any, **options: Any) -> Any:
        body = view(*args, **options)
        if isinstance(body, dict) and "plotly_graph_objects" in body:
            body["plotly_graph_objects"].sort(key=lambda figure: figure["id"])
        return body

    return ordered
