"""Optimizers of the user's own in a built-in task: imported, and tried, before a trial needs them."""

from pathlib import Path

from batchlaw.errors import ConfigError, ObjectiveError
from batchlaw.objectives.function import error_line, load_named
from batchlaw.recipe.derive import derive
from batchlaw.spec import StudySpec, extremes
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import KNOBS, Point


def load_optimizers(spec: StudySpec, folder: Path) -> None:
    """Import the optimizers of a study from the folder of its file, and build each once.

    Raises:
        ObjectiveError: one cannot be imported or built, or is no optimizer of PyTorch.
    """
    for name in spec.own_optimizers:
        family = FAMILIES[name]
        load_named("optimizer", f"{family.package}:{family.torch}", folder)
        import torch

        from batchlaw.train import optimizers

        point = Point(**{knob.name: extremes(getattr(spec.space, knob.name))[-1] for knob in KNOBS})
        config = derive(spec, point.model_copy(update={"optimizer": name}), seeds=(0,))
        try:
            optimizers.build(config, torch.nn.Linear(1, 1))
        except ConfigError as error:
            raise ObjectiveError(f"space.{error}") from None
        except Exception as error:  # whatever the user's code raises
            raise ObjectiveError(f"space.optimizer: {name!r} cannot be built: {error_line(error)}") from error
