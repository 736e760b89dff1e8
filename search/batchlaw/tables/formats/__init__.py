"""Formats of files: from bytes to tables of text cells. A format is a file here and a line in the registry."""
