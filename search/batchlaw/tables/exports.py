"""How tools mark what their exports hold: their columns, and the rows of runs that were pruned, failed or still run."""

import re

import pandas as pd

from batchlaw.errors import DataError

# A tool, its name, and patterns of columns that every export of it has.
EXPORTS = {
    "wandb": ("Weights & Biases", (r"Name|ID|_wandb|_timestamp", r"State|Runtime|Created|_step|config.*|summary.*")),
    "mlflow": ("MLflow", (r"run_id|Run ID|run_uuid", r"metrics\..*|params\..*|status|Status")),
    "optuna": ("Optuna", (r"number", r"params_.*|values?(_.*)?")),
    "ray": ("Ray Tune", (r"trial_id|logdir", r"config/.*|training_iteration")),
    "syne-tune": ("Syne Tune", (r"trial_id", r"st_.*|config_.*")),
}  # fmt: skip

# What Optuna, W&B, MLflow and Ray Tune write in their column `state` or `status`.
STATE = ("state", "status")
FINISHED = frozenset({"complete", "completed", "finished", "success", "succeeded", "terminated", "done", "ok"})
UNFINISHED = frozenset({"pruned", "running", "waiting", "scheduled", "pending", "paused", "queued", "stopped"})
FAILED = frozenset({
    "fail", "failed", "failure", "crashed", "crash", "killed", "error", "oom", "out_of_memory", "timeout", "preempted",
    "cancelled", "canceled", "aborted",
})  # fmt: skip
DIVERGED = frozenset({"diverged", "nan", "exploded"})

# Columns that say of a run whether it diverged, and what says yes there.
HAS_DIVERGED = ("diverged", "is_diverged", "has_diverged", "did_diverge")
YES = frozenset({"true", "yes", "1", "1.0"})


def check_export(table: pd.DataFrame, tool: str, title: str) -> None:
    """Refuse a table that a tool has not exported.

    Raises:
        DataError: it lacks columns that every export of the tool has.
    """
    name, marks = EXPORTS[tool]
    for mark in marks:
        if not any(re.fullmatch(mark, str(column)) for column in table.columns):
            wanted = mark.replace("|", " or ").replace(r"\.", ".").replace(".*", "…")
            line = f"{title} is no export of {name}: no column is called {wanted}"
            raise DataError(line, argument="format", got=tool)
