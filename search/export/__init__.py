"""Configurations to take away, in the forms other programs read."""

from search.export.configurations import Configuration, best_per, select, with_ties
from search.export.formats import FORMATS, render

__all__ = ["FORMATS", "Configuration", "best_per", "render", "select", "with_ties"]
