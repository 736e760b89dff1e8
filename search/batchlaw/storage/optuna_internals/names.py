"""The name of a study changed; Optuna has no function for it."""

from optuna.storages._rdb.models import StudyModel
from sqlalchemy import Connection, update


def change_name(connection: Connection, study_id: int, name: str) -> None:
    """Give a study another name.

    Raises:
        IntegrityError: another study has the name.
    """
    connection.execute(update(StudyModel.__table__).where(StudyModel.study_id == study_id).values(study_name=name))
