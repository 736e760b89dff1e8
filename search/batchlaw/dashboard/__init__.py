"""optuna-dashboard over the studies of a database, with what batchlaw knows of their trials."""

from batchlaw.dashboard.guard import guarded
from batchlaw.dashboard.pages import pages
from batchlaw.dashboard.server import is_loopback, serve

__all__ = ["guarded", "is_loopback", "pages", "serve"]
