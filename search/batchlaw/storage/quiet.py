"""Optuna's progress bar is imported here first, without its warning.

In a notebook without ipywidgets it warns that they are missing. Nothing here uses them.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tqdm.auto  # noqa: F401
