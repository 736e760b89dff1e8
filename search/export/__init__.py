"""Configurations to take away, in the forms other programs read."""

from search.export.configurations import Configuration, best_per, select, with_ties
from search.export.formats import FORMATS, OF_ONE, render
from search.export.provenance import Provenance, provenances_of

__all__ = [
    "FORMATS", "OF_ONE", "Configuration", "Provenance", "best_per", "provenances_of", "render", "select", "with_ties",
]  # fmt: skip
