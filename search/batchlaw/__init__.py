"""batchlaw: search batch size and learning rate jointly, and test the claims made about them.

The names in `__all__` are public. All else may change between versions.

    Study                                   a study in a database: search, designed runs, reports, exports
    studies                                 the state of every study of a database
    Trial                                   what a training function of your own gets
    claim, law, transfer, recommend         the same results from a table of runs
    report                                  all of them on one page, from a table of runs
    plan                                    batch size and learning rate for a run that nobody has tried
    plan_design                             the studies from which such a run can be planned
    critical                                the critical batch size, from steps to a target
    learning_rate_range                     the largest learning rate of a stable step at each batch size
    init                                    a first study file for a training script
    copy_studies                            from one database to another
    Claim, Law, Transfer, Plan, PlanDesign, Critical    what they return, from a study as well
    Ranking, Recommendation, TableRecommendation, Configuration, Interval      other results, and their parts
    BatchlawError and others                what is raised on purpose; see `batchlaw.errors`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchlaw.errors import (
    BatchlawError,
    ConfigError,
    DataError,
    DeviceMemoryError,
    Diverged,
    Interrupted,
    ObjectiveError,
    Pruned,
    SpecError,
    Stop,
    StorageError,
    StudyError,
    TimeLimit,
    WorkFailed,
)

if TYPE_CHECKING:
    from batchlaw.claims.claim import Claim
    from batchlaw.claims.table_claim import claim
    from batchlaw.laws.critical import Critical
    from batchlaw.laws.law import Law
    from batchlaw.laws.plan import Plan
    from batchlaw.laws.plan_design import PlanDesign
    from batchlaw.laws.planning import plan
    from batchlaw.laws.recommendation import Recommendation
    from batchlaw.laws.steps_to_target import critical
    from batchlaw.laws.table_recommendation import TableRecommendation, recommend
    from batchlaw.laws.tables import law, transfer
    from batchlaw.laws.transfer import Transfer
    from batchlaw.objectives.trial import Trial
    from batchlaw.results.configuration import Configuration
    from batchlaw.results.interval import Interval
    from batchlaw.results.ranking import Ranking
    from batchlaw.study import Study
    from batchlaw.study.copying import copy_studies
    from batchlaw.study.designing import plan_design
    from batchlaw.study.draft import init
    from batchlaw.study.listing import studies
    from batchlaw.study.ranging import learning_rate_range
    from batchlaw.study.table_report import report

__version__ = "0.2.0"
__all__ = [
    "BatchlawError",
    "Claim",
    "ConfigError",
    "Configuration",
    "Critical",
    "DataError",
    "DeviceMemoryError",
    "Diverged",
    "Interrupted",
    "Interval",
    "Law",
    "ObjectiveError",
    "Plan",
    "PlanDesign",
    "Pruned",
    "Ranking",
    "Recommendation",
    "SpecError",
    "Stop",
    "StorageError",
    "Study",
    "StudyError",
    "TableRecommendation",
    "TimeLimit",
    "Transfer",
    "Trial",
    "WorkFailed",
    "claim",
    "copy_studies",
    "critical",
    "init",
    "law",
    "learning_rate_range",
    "plan",
    "plan_design",
    "recommend",
    "report",
    "studies",
    "transfer",
]
# Imported when a name is first used, so that neither PyTorch nor pandas is loaded before it is needed.
_MODULES = {
    "Claim": "batchlaw.claims.claim",
    "Configuration": "batchlaw.results.configuration",
    "Interval": "batchlaw.results.interval",
    "Critical": "batchlaw.laws.critical",
    "Law": "batchlaw.laws.law",
    "Plan": "batchlaw.laws.plan",
    "PlanDesign": "batchlaw.laws.plan_design",
    "Ranking": "batchlaw.results.ranking",
    "Recommendation": "batchlaw.laws.recommendation",
    "Study": "batchlaw.study",
    "TableRecommendation": "batchlaw.laws.table_recommendation",
    "Transfer": "batchlaw.laws.transfer",
    "Trial": "batchlaw.objectives.trial",
    "claim": "batchlaw.claims.table_claim",
    "copy_studies": "batchlaw.study.copying",
    "critical": "batchlaw.laws.steps_to_target",
    "init": "batchlaw.study.draft",
    "law": "batchlaw.laws.tables",
    "learning_rate_range": "batchlaw.study.ranging",
    "plan": "batchlaw.laws.planning",
    "plan_design": "batchlaw.study.designing",
    "recommend": "batchlaw.laws.table_recommendation",
    "report": "batchlaw.study.table_report",
    "studies": "batchlaw.study.listing",
    "transfer": "batchlaw.laws.tables",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
