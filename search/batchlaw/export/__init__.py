"""Configurations to take away, in the forms other programs read."""

from batchlaw.export.formats import FORMATS, OF_ONE, render
from batchlaw.export.provenance import Provenance, provenances_of
from batchlaw.results.ranking import Configuration, best_per, select, with_ties

__all__ = [
    "FORMATS", "OF_ONE", "Configuration", "Provenance", "best_per", "provenances_of", "render", "select", "with_ties",
]  # fmt: skip
