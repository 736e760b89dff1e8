"""An experiment of MLflow."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient, get_tracking_uri

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
    uri = storage or get_tracking_uri()
    file = uri.removeprefix("sqlite:///").removeprefix("file://")
    if "://" not in file and not Path(file).exists():  # MLflow would make it
        raise DataError("there is no such file", argument="storage", got=uri)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # by default it tries for minutes
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name) or (client.get_experiment(name) if name.isdigit() else None)
        if experiment is None:
            raise DataError("there is no such experiment", argument="data", got=f"mlflow:{name}")
        rows: list[dict[str, Any]] = []
        token = None
        while token != "":
            page = client.search_runs([experiment.experiment_id], "", ViewType.ACTIVE_ONLY, _PAGE, page_token=token)
            rows += [_row(run) for run in page]
            token = page.token or ""
    except MlflowException as error:
        line = " ".join(str(error).split())[:200]
        raise DataError(f"cannot be read: {line}", argument="storage", got=uri) from None
    return pd.DataFrame(rows)


def _row(run: Any) -> dict[str, Any]:
    return {
        "run_id": run.info.run_id, "status": run.info.status,
        **{f"params.{key}": value for key, value in run.data.params.items()},
        **{f"metrics.{key}": value if value == value else float("inf") for key, value in run.data.metrics.items()},
    }  # fmt: skip
