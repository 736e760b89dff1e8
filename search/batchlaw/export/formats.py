"""The formats of an export, each with the function that writes it."""

from collections.abc import Callable

from batchlaw.export.command_line import command_line
from batchlaw.export.documents import as_document, csv_text, structured
from batchlaw.export.lightning_module import lightning_module
from batchlaw.export.optuna_queue import optuna_queue
from batchlaw.export.provenance import Provenance
from batchlaw.export.refusal import refused
from batchlaw.export.snippet import python_snippet
from batchlaw.export.table import table_text
from batchlaw.export.timm_flags import timm_flags
from batchlaw.export.training_arguments import training_arguments
from batchlaw.export.wandb_sweep import wandb_sweep
from batchlaw.results.configuration import Configuration
from batchlaw.results.verification import Verification
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import FAMILIES, OWN

_OF_ONE: dict[str, Callable[[TrainConfig, Provenance], str]] = {
    "python": python_snippet,
    "lightning": lightning_module,
    "transformers": training_arguments,
    "timm": timm_flags,
}
OF_ONE = (*_OF_ONE, "command")  # formats that hold one configuration
FORMATS = ("table", "json", "yaml", "toml", "csv", *OF_ONE, "wandb", "optuna")


def usual_format(spec: StudySpec) -> str:
    """The format that next commands suggest."""
    return "json" if spec.own_optimizers else "python" if spec.command is None else "command"


def render(
    form: str,
    spec: StudySpec,
    configurations: list[Configuration],
    provenances: list[Provenance],
    verified: Verification | None,
    *,
    per: str | None = None,
) -> str:
    """The text of configurations in one of `FORMATS`.

    Args:
        form: the format; those in `OF_ONE` take the first configuration alone.
        spec: the study.
        configurations: of this study.
        provenances: of each configuration.
        verified: one of the configurations on fresh seeds.
        per: the hyperparameter of whose values each is the best.

    Raises:
        BatchlawError: the format cannot express the configuration.
    """
    if form == "command":
        return command_line(spec, configurations[0].config, provenances[0])
    if form in (*_OF_ONE, "wandb"):
        for configuration in configurations:
            if configuration.config.optimizer == OWN:
                why = "code for it would not be what was run; the format command has the command line"
                raise refused(form, "optimizer", OWN, why)
            if FAMILIES[configuration.config.optimizer].by_path:
                why = "its class is your own; json and the like have its values"
                raise refused(form, "optimizer", configuration.config.optimizer, why)
    if form in _OF_ONE:
        return _OF_ONE[form](configurations[0].config, provenances[0])
    if form == "table":
        return table_text(spec, configurations, verified, per)
    if form == "csv":
        return csv_text(configurations, provenances)
    if form == "wandb":
        return wandb_sweep([configuration.config for configuration in configurations], provenances)
    if form == "optuna":
        return optuna_queue([configuration.suggested for configuration in configurations], provenances)
    return structured(form, as_document(spec, configurations, provenances, verified))
