"""What batchlaw needs of Optuna beyond its public calls, held against the Optuna at hand.

A part of batchlaw uses Optuna's inside only if every entry of its list is found as written here, with the same
parameters or columns. Otherwise `plain.py` serves this part by public calls.
"""

import dis
import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any

SWITCH = "BATCHLAW_PLAIN_OPTUNA"  # 1: no part uses Optuna's inside; or the names of parts, separated by commas

_RDB, _MODELS = "optuna.storages._rdb.storage", "optuna.storages._rdb.models"
_CACHE, _PLOTS, _NOTE = (
    "optuna.storages._cached_storage",
    "optuna_dashboard._custom_plot_data",
    "optuna_dashboard._note",
)


@dataclass(frozen=True)
class Need:
    """One object of Optuna's, and the names that it must have."""

    path: str  # module:name
    names: str
    found: Callable[[Any], Iterable[str]]
    exact: bool = True  # these names in this order and no other

    def mismatch(self) -> str | None:
        """What is different; None if nothing is."""
        module, _, name = self.path.partition(":")
        try:
            found, wanted = tuple(self.found(attrgetter(name)(import_module(module)))), tuple(self.names.split())
        except (ImportError, AttributeError, TypeError, ValueError):
            return f"{name} is missing"
        if found == wanted or (not self.exact and set(wanted) <= set(found)):
            return None
        return f"{name} has {', '.join(found)} and not {', '.join(wanted)}"


def _takes(path: str, names: str) -> Need:
    """A function with these parameters."""
    return Need(path, names, lambda found: inspect.signature(found).parameters)


def _columns(path: str, names: str) -> Need:
    """A table with these columns."""
    return Need(path, names, lambda found: found.__table__.columns.keys())


def _sets(path: str, names: str) -> Need:
    """A function that sets these attributes and no others."""
    return Need(path, names, lambda found: sorted(
        {step.argval for step in dis.get_instructions(found) if step.opname == "STORE_ATTR"}
    ))  # fmt: skip


def _names(path: str, names: str) -> Need:
    """A function whose code reads, sets or calls these attributes, among others."""
    return Need(path, names, lambda found: inspect.unwrap(found).__code__.co_names, exact=False)


NEEDS: dict[str, tuple[Need, ...]] = {
    # Trials are read and written by statements of SQL; TrialCache keeps them in order.
    "storage": (
        _columns(f"{_MODELS}:StudyModel", "study_id study_name"),
        _columns(f"{_MODELS}:StudyDirectionModel", "study_direction_id direction study_id objective"),
        _columns(f"{_MODELS}:StudyUserAttributeModel", "study_user_attribute_id study_id key value_json"),
        _columns(f"{_MODELS}:StudySystemAttributeModel", "study_system_attribute_id study_id key value_json"),
        _takes(
            "optuna.study._frozen:FrozenStudy", "study_name direction user_attrs system_attrs study_id directions"
        ),
        _takes("optuna.distributions:CategoricalDistribution._contains", "self param_value_in_internal_repr"),
        _columns(f"{_MODELS}:TrialModel", "trial_id number study_id state datetime_start datetime_complete"),
        _columns(f"{_MODELS}:TrialValueModel", "trial_value_id trial_id objective value value_type"),
        _columns(f"{_MODELS}:TrialParamModel", "param_id trial_id param_name param_value distribution_json"),
        _columns(
            f"{_MODELS}:TrialIntermediateValueModel",
            "trial_intermediate_value_id trial_id step intermediate_value intermediate_value_type",
        ),
        _columns(f"{_MODELS}:TrialUserAttributeModel", "trial_user_attribute_id trial_id key value_json"),
        _columns(f"{_MODELS}:TrialSystemAttributeModel", "trial_system_attribute_id trial_id key value_json"),
        _takes(f"{_MODELS}:TrialValueModel.value_to_stored_repr", "value"),
        _takes(f"{_MODELS}:TrialValueModel.stored_repr_to_value", "value float_type"),
        _takes(f"{_MODELS}:TrialIntermediateValueModel.intermediate_value_to_stored_repr", "value"),
        # RowStorage sets what the constructor sets, without its check of the tables, which takes 0.2 s.
        _sets(
            f"{_RDB}:RDBStorage.__init__",
            "_version_manager engine engine_kwargs failed_trial_callback grace_period heartbeat_interval "
            "heartbeat_stale_trial_callback scoped_session skip_compatibility_check url",
        ),
        _takes(f"{_RDB}:_VersionManager", "url engine scoped_session"),
        # RowStorage overrides these three, which Optuna's cache calls.
        _takes(
            f"{_RDB}:RDBStorage._get_trials", "self study_id states included_trial_ids trial_id_greater_than"
        ),
        _takes(f"{_RDB}:RDBStorage._create_new_trial", "self study_id template_trial"),
        _takes(
            f"{_RDB}:RDBStorage._set_trial_param",
            "self trial_id param_name param_value_internal distribution previous_distribution",
        ),
        _names(f"{_CACHE}:_CachedStorage.create_new_trial", "_backend _create_new_trial _add_trials_to_cache"),
        _names(f"{_CACHE}:_CachedStorage.set_trial_param", "_backend _set_trial_param"),
        # TrialCache overrides these two, and reads these attributes.
        _takes(f"{_CACHE}:_CachedStorage._read_trials_from_remote_storage", "self study_id"),
        _takes(f"{_CACHE}:_CachedStorage._add_trials_to_cache", "self study_id trials"),
        _names(f"{_CACHE}:_CachedStorage.get_all_trials", "_read_trials_from_remote_storage"),
        _names(f"{_CACHE}:_CachedStorage._read_trials_from_remote_storage", "_get_trials _add_trials_to_cache"),
        _names(f"{_CACHE}:_CachedStorage.__init__", "_backend _trial_id_to_study_id_and_number _lock"),
        _names("optuna.trial:FrozenTrial.__init__", "_trial_id"),
        _names("optuna.trial:Trial.__init__", "_trial_id storage"),
    ),
    # TPE is shown the best and the latest of many trials.
    "sampler": (
        _takes("optuna:Study._get_trials", "self deepcopy states use_cache"),
        _names("optuna.samplers:TPESampler._sample", "_get_trials"),
    ),
    # The brackets of ended trials are remembered.
    "pruner": (
        _takes("optuna.pruners:HyperbandPruner._create_bracket_study", "self study bracket_id"),
        _takes("optuna.pruners:HyperbandPruner._get_bracket_id", "self study trial"),
        _takes("optuna.pruners:HyperbandPruner._try_initialization", "self study"),
        _names("optuna.pruners:HyperbandPruner.__init__", "_pruners"),
        _names("optuna:Study.__init__", "_storage _study_id"),
    ),
    # A study is renamed.
    "names": (_columns(f"{_MODELS}:StudyModel", "study_id study_name"),),
    # The page of a study is written in one transaction, in the form that optuna-dashboard reads.
    "page": (
        _columns(f"{_MODELS}:StudySystemAttributeModel", "study_system_attribute_id study_id key value_json"),
        _names(f"{_PLOTS}:get_plotly_graph_objects", "SYSTEM_ATTR_PLOT_DATA concat_plot_data"),
        _takes(f"{_PLOTS}:concat_plot_data", "plot_data_attrs key_prefix"),
        _takes(f"{_NOTE}:split_body", "note_str trial_id"),
        _takes(f"{_NOTE}:note_str_key_prefix", "trial_id"),
        _takes(f"{_NOTE}:note_ver_key", "trial_id"),
    ),
}  # fmt: skip


@cache
def mismatch(part: str) -> str | None:
    """Why a part of `NEEDS` must do with public calls; None if it need not."""
    if {"1", part} & set(os.environ.get(SWITCH, "").split(",")):
        return f"{SWITCH} is set"
    return next((reason for need in NEEDS[part] if (reason := need.mismatch())), None)
