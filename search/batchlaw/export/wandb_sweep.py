"""The Weights & Biases form of an export: a sweep of the box around the exported configurations."""

from collections.abc import Sequence
from typing import Any

from batchlaw.export.provenance import Provenance
from batchlaw.spec import TrainConfig
from batchlaw.spec.families import FAMILIES, families_with
from batchlaw.spec.knobs import KNOBS

_OCTAVE = 2  # the factor by which batch size and learning rate may leave the configurations (assumption)
# The families that use each other parameter. The scaling rule is left out: at a given batch size it only relabels
# the learning rate.
_OTHERS = {
    knob.name: knob.families or tuple(FAMILIES)
    for knob in KNOBS
    if not knob.of_data and knob.name not in ("batch_size", "base_lr", "scaling_rule")
} | {name: families_with(name) for name in ("beta1", "beta2", "eps")}


def wandb_sweep(configs: Sequence[TrainConfig], provenances: Sequence[Provenance]) -> str:
    """YAML for `wandb sweep`: Bayesian search of the smallest box that holds the configurations.

    Batch size and peak learning rate may go an octave beyond the box, within what the study tried. A sweep takes no
    initial points, so its description names the best configuration.
    """
    import yaml

    first = provenances[0]
    parameters: dict[str, Any] = {}
    if configs[0].batch_size is not None:
        parameters["batch_size"] = _choice(_batch_sizes(configs, provenances))
    if configs[0].peak_lr is not None:
        parameters["peak_lr"] = _peak_lrs(configs, provenances)
    if configs[0].budget_examples is not None and configs[0].train_size is not None:
        parameters["epochs"] = {"value": configs[0].budget_examples / configs[0].train_size}
    for name, families in _OTHERS.items():
        values = [getattr(config, name) for config in configs if config.optimizer in families]
        values = [value for value in values if value is not None]
        if values and configs[0].peak_lr is not None:
            parameters[name] = _values(values)
    for name in dict.fromkeys(name for config in configs for name in config.parameters):
        parameters[name] = _values([config.parameters[name] for config in configs if name in config.parameters])
    best = ", ".join(f"{name} = {configs[0].value_of(name)}" for name in parameters if name != "epochs")
    sweep = {
        "name": f"{first.study}-{first.trial}",
        "description": "; ".join([f"best so far: {best}", *first.lines()]),
        "method": "bayes",
        "metric": {"name": first.metric, "goal": first.direction},
        "parameters": parameters,
    }
    return yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True, width=float("inf"))


def _values(values: Sequence[Any]) -> dict[str, Any]:
    return _range("uniform", *_ends(values)) if isinstance(values[0], float) else _choice(values)


def _batch_sizes(configs: Sequence[TrainConfig], provenances: Sequence[Provenance]) -> list[int]:
    low, high = _ends([size for provenance in provenances for size in provenance.batch_sizes or ()])
    sizes = {config.batch_size for config in configs}
    further = {size // _OCTAVE for size in sizes} | {size * _OCTAVE for size in sizes}
    return sorted(sizes | {size for size in further if low <= size <= high})


def _peak_lrs(configs: Sequence[TrainConfig], provenances: Sequence[Provenance]) -> dict[str, Any]:
    low, high = _ends([rate for provenance in provenances for rate in provenance.peak_lrs or ()])
    slowest, fastest = _ends([config.peak_lr for config in configs])
    slower = min(slowest, max(slowest / _OCTAVE, low))
    faster = max(fastest, min(fastest * _OCTAVE, high))
    return _range("log_uniform_values", slower, faster)


def _ends(values: Sequence[Any]) -> tuple[Any, Any]:
    return min(values), max(values)


def _range(distribution: str, low: float, high: float) -> dict[str, Any]:
    return {"value": low} if low == high else {"distribution": distribution, "min": low, "max": high}


def _choice(values: Sequence[Any]) -> dict[str, Any]:
    distinct = list(dict.fromkeys(values))
    return {"values": distinct} if len(distinct) > 1 else {"value": distinct[0]}
