"""Labels of figures and reports."""

from dataclasses import dataclass

from batchlaw.results.columns import sentence_of
from batchlaw.spec import StudySpec, TrainConfig, extremes
from batchlaw.spec.arms import Direction
from batchlaw.spec.families import family_of
from batchlaw.spec.knobs import KNOBS


@dataclass(frozen=True)
class Labels:
    """The labels of one study or file; scores are higher-is-better inside, and shown with their original sign."""

    title: str
    question: str
    score: str
    maximize: bool

    @property
    def direction(self) -> Direction:
        """Whether the score is minimized or maximized."""
        return "maximize" if self.maximize else "minimize"


def labels_of(spec: StudySpec) -> Labels:
    """The labels of a study."""
    return Labels(spec.name, spec.purpose, spec.arm.metric, spec.direction == "maximize")


def settings_line(config: TrainConfig, spec: StudySpec) -> str:
    """The values that vary in a study besides batch size and learning rate, such as `adam, warmup 0.1, dropout 0.2`."""
    told = []
    for knob in KNOBS:
        fixed = len(extremes(getattr(spec.space, knob.name))) == 1
        unused = knob.families is not None and family_of(config.optimizer) not in knob.families
        if fixed or unused or knob.name in ("batch_size", "base_lr"):
            continue
        value = getattr(config, knob.name)
        if isinstance(value, bool):
            told.append(f"{'' if value else 'no '}{knob.label}")
        else:
            told.append(value if knob.kind is str else f"{knob.label} {value:.3g}")
    own = tuple(name for name in spec.searched if name in spec.parameters)
    return ", ".join([*told, *([sentence_of(config, own)] if own else [])])


def places_line(config: TrainConfig) -> str:
    """Batch size and peak learning rate, as far as the study has them."""
    return sentence_of(config, ("peak_lr", "batch_size"))
