"""A study: its file, its models, its fingerprint, and the configuration of one trial."""

from search.spec.config import TrainConfig
from search.spec.dimensions import FloatRange, IntRange, extremes, levels_of
from search.spec.reading import canonical_json, differing_fields, fingerprint, parse_spec, read_spec
from search.spec.study import BUILTIN_METRICS, Budget, Claim, Schedule, Search, Space, StudySpec
from search.spec.task import DATASETS, DatasetFacts, ModelOptions, Task

__all__ = [
    "BUILTIN_METRICS",
    "DATASETS",
    "Budget",
    "Claim",
    "DatasetFacts",
    "FloatRange",
    "IntRange",
    "ModelOptions",
    "Schedule",
    "Search",
    "Space",
    "StudySpec",
    "Task",
    "TrainConfig",
    "canonical_json",
    "differing_fields",
    "extremes",
    "fingerprint",
    "levels_of",
    "parse_spec",
    "read_spec",
]
