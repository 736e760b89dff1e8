"""A study in Python: what the commands do, from a program or a notebook."""

from batchlaw.study.study import DEFAULT_URL, Study

__all__ = ["DEFAULT_URL", "Study"]
