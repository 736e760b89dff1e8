"""A study of Optuna that is none of batchlaw's."""

import logging

import optuna
import pandas as pd

from batchlaw.errors import DataError


def read_study(name: str, storage: str | None) -> tuple[pd.DataFrame, tuple[bool, str] | None]:
    """Its trials, a row each, and its direction if it has one.

    Args:
        name: of the study.
        storage: the URL of a database, or the path of a journal file.

    Raises:
        DataError: there is no such study, or no such storage.
    """
    if storage is None:
        raise DataError("is needed: the URL of the database of the study", argument="storage")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        table = study.trials_dataframe(attrs=("number", "value", "params", "user_attrs", "state"))
    except KeyError:
        raise DataError("there is no such study in the storage", argument="data", got=f"optuna:{name}") from None
    except Exception as error:  # whatever a database or its driver raises
        raise DataError(
            f"cannot be read: {' '.join(str(error).split())[:200]}", argument="storage", got=storage
        ) from None
    finally:
        optuna.logging.set_verbosity(level)
    if len(study.directions) > 1:
        return table, None
    if study.metric_names:
        table = table.rename(columns={"value": study.metric_names[0]})
    return table, (study.directions[0].name == "MAXIMIZE", "the study")
