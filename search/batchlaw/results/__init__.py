"""Stored trials as typed records, and what is read from them: ranking, status, step times."""
