"""The table [log]: a library of the user's that every finished trial is logged to."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from batchlaw.spec.base import Frozen, refuse

_Text = Annotated[str, Field(min_length=1)]
# The options of each library.
_OPTIONS = {"mlflow": ("uri", "experiment"), "wandb": ("project", "entity"), "tensorboard": ("folder",)}


class Log(Frozen):
    """Where trials are logged to. It decides nothing about them, and is no part of the fingerprint."""

    to: Literal["mlflow", "wandb", "tensorboard"]
    uri: _Text | None = None  # of MLflow's tracking; its own settings without it
    experiment: _Text | None = None  # of MLflow; the study's name without it
    project: _Text | None = None  # of Weights & Biases; the study's name without it
    entity: _Text | None = None  # of Weights & Biases
    folder: _Text | None = None  # of TensorBoard, from the working folder of the worker; "runs" without it

    @model_validator(mode="after")
    def _options_of_the_library(self) -> "Log":
        for library, options in _OPTIONS.items():
            for name in options:
                if library != self.to and getattr(self, name) is not None:
                    raise refuse(f'goes with to = "{library}"', getattr(self, name), name)
        return self
