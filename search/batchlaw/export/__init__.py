"""Configurations in the formats that other programs read."""

from batchlaw.export.formats import FORMATS, OF_ONE, render, usual_format
from batchlaw.export.provenance import provenances_of

__all__ = ["FORMATS", "OF_ONE", "provenances_of", "render", "usual_format"]
