"""An experiment of MLflow."""

from typing import Any

import pandas as pd
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from batchlaw.errors import DataError

_PAGE = 1000  # runs a request


def read_experiment(name: str, storage: str | None) -> pd.DataFrame:
    """Its runs, a row each, with the columns of `mlflow.search_runs`; runs that were deleted are none.

    Args:
        name: or number, of the experiment.
        storage: the tracking URI; None: MLflow's own (MLFLOW_TRACKING_URI, else ./mlruns).

    Raises:
        DataError: there is no such experiment, or no such server.
    """
    try:
        client = MlflowClient(tracking_uri=storage)
        experiment = client.get_experiment_by_name(name) or (client.get_experiment(name) if name.isdigit() else None)
        if experiment is None:
            raise DataError("there is no such experiment", argument="data", got=f"mlflow:{name}")
        rows: list[dict[str, Any]] = []
        token: str | None = None
        while token is not None or not rows:
            page = client.search_runs([experiment.experiment_id], "", ViewType.ACTIVE_ONLY, _PAGE, page_token=token)
            rows += [_row(run) for run in page]
            token = page.token or None
            if token is None:
                break
    except MlflowException as error:
        line = " ".join(str(error).split())[:200]
        raise DataError(f"cannot be read: {line}", argument="storage", got=storage) from None
    return pd.DataFrame(rows)


def _row(run: Any) -> dict[str, Any]:
    return {
        "run_id": run.info.run_id, "status": run.info.status,
        **{f"params.{key}": value for key, value in run.data.params.items()},
        **{f"metrics.{key}": value if value == value else float("inf") for key, value in run.data.metrics.items()},
    }  # fmt: skip
