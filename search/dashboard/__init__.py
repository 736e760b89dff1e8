"""optuna-dashboard over the studies of a database, with what batchlaw knows of their trials."""

from search.dashboard.guard import guarded
from search.dashboard.pages import pages
from search.dashboard.server import is_loopback, serve

__all__ = ["guarded", "is_loopback", "pages", "serve"]
