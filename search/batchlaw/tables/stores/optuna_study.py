"""A study of Optuna that is none of batchlaw's."""

import logging
from pathlib import Path

import optuna
import pandas as pd
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from batchlaw.errors import BatchlawError, DataError
from batchlaw.storage.address import parsed, redacted


def read_study(name: str, storage: str | None) -> tuple[pd.DataFrame, tuple[bool, str] | None]:
    """Its trials, a row each, and its direction if it has one.

    Args:
        name: of the study.
        storage: the URL of a database, or the path of a journal file; nothing is written to either.

    Raises:
        DataError: there is no such study, or no such storage.
        StorageError: the URL is none.
    """
    if storage is None:
        raise DataError("is needed: the URL of the database of the study", argument="storage")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.load_study(study_name=name, storage=_opened(storage))
        table = study.trials_dataframe(attrs=("number", "value", "params", "user_attrs", "state"))
    except KeyError:
        raise DataError("there is no such study in the storage", argument="data", got=f"optuna:{name}") from None
    except BatchlawError:
        raise
    except Exception as error:  # whatever a database or its driver raises
        line = " ".join(str(error).split())[:200]
        raise DataError(f"cannot be read: {line}", argument="storage", got=_shown(storage)) from None
    finally:
        optuna.logging.set_verbosity(level)
    if len(study.directions) > 1:
        return table, None
    if study.metric_names:
        table = table.rename(columns={"value": study.metric_names[0]})
    return table, (study.directions[0].name == "MAXIMIZE", "the study")


def _opened(storage: str) -> BaseStorage:
    url = parsed(storage) if "://" in storage else None
    file = storage if url is None else url.database if url.get_backend_name() == "sqlite" else None
    if file is not None and not Path(file).is_file():
        raise DataError("there is no such file", argument="storage", got=_shown(storage))
    if url is None:
        return JournalStorage(JournalFileBackend(storage))
    return RDBStorage(url.render_as_string(hide_password=False), skip_table_creation=True)


def _shown(storage: str) -> str:
    return redacted(storage) if "://" in storage else storage
