"""Study files: their models, checks and fingerprint, and the configuration of one trial."""

from batchlaw.spec.arms import Claim
from batchlaw.spec.budget import Budget
from batchlaw.spec.config import TrainConfig
from batchlaw.spec.datasets import DATASETS, DatasetFacts
from batchlaw.spec.dimensions import FloatRange, IntRange, extremes, levels_of
from batchlaw.spec.keywords import ASK, tables_of
from batchlaw.spec.reading import canonical_json, differing_fields, fingerprint, parse_spec, read_spec, toml_of
from batchlaw.spec.space import Space
from batchlaw.spec.study import BUILTIN_METRICS, StudySpec
from batchlaw.spec.task import ModelOptions, Task

__all__ = [
    "ASK",
    "BUILTIN_METRICS",
    "DATASETS",
    "Budget",
    "Claim",
    "DatasetFacts",
    "FloatRange",
    "IntRange",
    "ModelOptions",
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
    "tables_of",
    "toml_of",
]
