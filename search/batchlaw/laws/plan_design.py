"""Designed studies from which a longer or larger run can be planned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlaw.errors import BatchlawError
from batchlaw.results.notebook import notebook_html
from batchlaw.results.plain import plain
from batchlaw.shared_files import write_whole
from batchlaw.spec import StudySpec, levels_of, toml_of
from batchlaw.spec.network_size import n_parameters

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class PlanDesign:
    """Designed studies from which a run can be planned, and what they cost.

    Attributes:
        at: the run asked for: "examples", and "parameters" where sizes are varied.
        studies: a study for each horizon and size, from the shortest on.
        factor: the forecast interval of the learning rate is wanted within such a factor, its upper end over its lower.
        expected_factor: what is expected of these studies, at deviations from the law that are usual. No promise.
        seconds: of training, one run after another on the device that was timed; None where no step was timed.
        timed: where the seconds come from, or why there are none.
        folder: of the study file that they were made from.
    """

    at: Mapping[str, float]
    studies: tuple[StudySpec, ...]
    factor: float
    expected_factor: float
    alpha: float
    seconds: float | None
    timed: str
    folder: Path

    @property
    def runs(self) -> int:
        """Single runs of all studies, a seed each."""
        return sum(runs_of(spec) for spec in self.studies)

    @property
    def examples(self) -> int:
        """Examples that all runs train on."""
        return sum(runs_of(spec) * horizon_of(spec) for spec in self.studies)

    @property
    def table(self) -> "pd.DataFrame":
        """The studies, a row each.

        Columns: study; examples, of a run; parameters, None where they are not known; batch_sizes; rates; runs.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "study": spec.name, "examples": horizon_of(spec), "parameters": spec.task and n_parameters(spec.task),
                "batch_sizes": len(levels_of(spec.space.batch_size)), "rates": len(levels_of(spec.space.base_lr)),
                "runs": runs_of(spec),
            }
            for spec in self.studies
        )  # fmt: skip

    def write(self, folder: str | Path | None = None) -> list[Path]:
        """Write a study file for each study; none is overwritten, and all are written or none.

        Args:
            folder: where to; None: beside the file that they were made from, where the code of a study is found.

        Raises:
            BatchlawError: a file is there already, or cannot be written, or would not find its code.
        """
        target = self.folder if folder is None else Path(folder)
        if self.studies[0].task is None and target.resolve() != self.folder.resolve():
            told = f"must be {str(self.folder)!r}, the folder of the study file: the code is found beside it"
            raise BatchlawError(told, argument="path", got=str(folder))
        told = ", ".join(f"{name} {value:.6g}" for name, value in self.at.items())
        head = f"# Written by batchlaw plan --design, one of {len(self.studies)} studies to plan a run of {told}.\n\n"
        texts = {target / f"{spec.name}.toml": head + toml_of(spec) for spec in self.studies}
        for path in texts:
            if path.exists():
                raise BatchlawError("is there already; nothing was written", argument="path", got=str(path))
        written = []
        try:
            for path, text in texts.items():
                write_whole(path, text)
                written.append(path)
        except OSError as error:
            for path in written:
                path.unlink()
            raise BatchlawError(error.strerror or str(error), argument="path", got=str(target)) from None
        return written

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "at": dict(self.at), "factor": self.factor, "expected_factor": self.expected_factor, "alpha": self.alpha,
            "runs": self.runs, "examples": self.examples, "seconds": self.seconds, "timed": self.timed,
            "studies": plain(self.table.to_dict("records")),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The cost and what is expected, as sentences."""
        cost = f"{self.runs:,} runs on {self.examples:,} examples together"
        if self.seconds is not None:
            cost += f": about {self.seconds:,.0f} s of training, one run after another"
        return [
            f"{cost} ({self.timed})",
            f"the {1 - self.alpha:.0%} forecast interval of the learning rate is expected to span a factor of "
            f"{self.expected_factor:.3g}, at deviations from the law that are usual",
        ]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value:g}" for name, value in self.at.items())
        return f"PlanDesign({told}: {len(self.studies)} studies, {self.runs} runs)"

    def _repr_html_(self) -> str:
        return notebook_html(repr(self), self.lines(), self.table)


def runs_of(spec: StudySpec) -> int:
    """Single runs of a designed study of batch sizes and rates, a seed each."""
    return len(levels_of(spec.space.batch_size)) * len(levels_of(spec.space.base_lr)) * spec.arm.replicates


def horizon_of(spec: StudySpec) -> int:
    """Examples of a run."""
    assert spec.budget is not None and spec.budget.examples is not None
    return spec.budget.examples
