"""The catalogue: what each hypothesis says, what is measured, and what would support or contradict it."""

from dataclasses import dataclass
from typing import Literal

from batchlaw.errors import BatchlawError
from batchlaw.spec import Claim
from batchlaw.spec.needs import NEAR_SADDLE, NEEDS, HypothesisName

OfTables = Literal["H26"]  # what is judged on runs made elsewhere only, over their horizons

MARGIN = 0.25  # of a slope: half the distance between the linear and the square root rule; the default of a study

# The factor at each level of which the best batch size is sought, or the best weight decay at each batch size; with
# `reverse` the other way round.
Given = Literal["lr", "train_size", "inverse_damping", "batch_size"]
Tuned = Literal["batch_size", "weight_decay"]


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A hypothesis, fixed before its runs.

    One about a ridge is judged on each surface of a study: by its slope if it has a `target`, else by how many levels
    have an identified optimum. The others are judged on all runs together.
    """

    name: HypothesisName | OfTables
    statement: str
    statistic: str
    given: Given | None = None  # None: not about a ridge
    reverse: bool = False  # the given factor's optimum at each batch size
    target: float | None = None  # of the slope
    grows: bool = False  # a slope above 0 supports it, in proportion or not
    support: str = ""  # where it is not about a slope
    contradiction: str = ""

    def supports(self, margin: float) -> str:
        """What would support it."""
        if self.target is None:
            return self.support
        band = f"the slope's interval lies within [{self.target - margin:g}, {self.target + margin:g}]"
        return f"{band}; growth alone if it lies above 0" if self.grows else band

    def contradicts(self, margin: float) -> str:
        """What would contradict it."""
        if self.target is None:
            return self.contradiction
        if self.grows:
            return f"the slope's interval lies below 0; no relation if it lies within [{-margin:g}, {margin:g}]"
        return (
            f"the slope's interval excludes [{self.target - margin:g}, {self.target + margin:g}]; "
            f"no relation if it lies within [{-margin:g}, {margin:g}]"
        )

    def needs(self) -> str:
        """The factors and levels that it needs."""
        if self.name not in NEEDS:
            return "runs made elsewhere at several horizons, and --over with the column that tells these"
        parts = []
        for need in NEEDS[self.name]:
            octaves = f" over {need.octaves:g} octaves" if need.octaves else ""
            values = f": {', '.join(map(str, need.values))}" if need.values else ""
            parts.append(f"{need.factor} {need.levels}{octaves}{values}")
        if self.name == "H18":
            parts.append(f"task.model_options.init_scale at most {NEAR_SADDLE}")
        return "; ".join(parts)


GIVEN_LABELS: dict[Given, str] = {
    "lr": "learning rate",
    "train_size": "training examples",
    "inverse_damping": "1/(1-m)",
    "batch_size": "batch size",
}


def tuned_at(given: Given) -> Tuned:
    """The factor whose best level is sought at each level of a given one."""
    return "weight_decay" if given == "batch_size" else "batch_size"


_ALL = (
    Hypothesis(
        name="H1",
        statement="a step costs about the same for any B, up to what the device does in parallel",
        statistic="slope of log step time on log B below the knee of two lines",
        support="the slope's interval below the knee lies within [-0.1, 0.1], over two octaves or more",
        contradiction="the interval excludes [-0.1, 0.1]",
    ),
    Hypothesis(
        name="H2",
        statement="an epoch gets faster as B grows",
        statistic="Theil-Sen slope of log epoch seconds on log B",
        support="the slope's interval lies below 0",
        contradiction="the slope's interval lies above 0",
    ),
    Hypothesis(
        name="H3",
        statement="larger B worsens training and validation results",
        statistic="paired contrast of the largest with the smallest B: at a fixed ε, and with ε tuned for each",
        support="with ε tuned for each the largest B is worse, in training and in validation loss",
        contradiction="it is not worse in either; worse at a fixed ε alone is an artefact of not tuning",
    ),
    Hypothesis(
        name="H4",
        statement="small B helps generalisation",
        statistic="paired contrast of the largest with the smallest B: generalisation gap at the same training loss, "
        "ε tuned for each on other seeds",
        support="the largest B's gap is larger, by more than equivalence within one seed's standard deviation",
        contradiction="the gaps are equivalent within one seed's standard deviation, or the largest B's is smaller",
    ),
    Hypothesis(
        name="H5",
        statement="small B finds flatter minima",
        statistic="partial rank correlation of sharpness at the same training loss with ε/B, given ε, in three "
        "measures: worst and average case, both adaptive, and the Hessian's largest eigenvalue",
        support="the correlation's interval lies below 0 in two measures or more, and above 0 in none",
        contradiction="it lies above 0 in two measures or more, and below 0 in none",
    ),
    Hypothesis(
        name="H6",
        statement="B × k calls for ε × k (the linear rule)",
        statistic="slope of log ε_opt on log B",
        given="lr",
        reverse=True,
        target=1.0,
    ),
    Hypothesis(
        name="H7",
        statement="keeping the variance calls for ε × √k",
        statistic="slope of log ε_opt on log B",
        given="lr",
        reverse=True,
        target=0.5,
    ),
    Hypothesis(
        name="H8",
        statement="at a fixed ε some B is best",
        statistic="share of learning rates with an identified optimum, whose confidence set is bounded on both sides "
        "and three octaves wide at most, beside the two-lines test",
        given="lr",
        support="at least 80 % of the learning rates have an identified optimum",
        contradiction="at least 80 % of the learning rates are shown flat, within one seed's standard deviation",
    ),
    Hypothesis(
        name="H9",
        statement="B_opt grows in proportion to ε",
        statistic="slope of log B_opt on log ε",
        given="lr",
        target=1.0,
    ),
    Hypothesis(
        name="H9m",
        statement="B_opt grows in proportion to 1/(1-m)",
        statistic="slope of log B_opt on log 1/(1-m)",
        given="inverse_damping",
        target=1.0,
    ),
    Hypothesis(
        name="H10",
        statement="B_opt grows with N",
        statistic="slope of log B_opt on log N",
        given="train_size",
        target=1.0,
        grows=True,
    ),
    Hypothesis(
        name="H11",
        statement="decaying ε is equivalent to growing B",
        statistic="paired difference of the final validation loss at equal epochs, beside the curves' largest gap",
        support="the difference's interval lies within one seed's standard deviation in every cell",
        contradiction="the difference lies outside it in one cell or more (Holm)",
    ),
    Hypothesis(
        name="H12",
        statement="larger ε generalises better",
        statistic="validation loss at the same training loss against log ε: two-lines test, and the largest rate "
        "against the smallest",
        support="it improves up to the largest rate without a turn, in at least 80 % of the further factors' levels",
        contradiction="it is best within the rates or worsens, in at least 80 % of the further factors' levels",
    ),
    Hypothesis(
        name="H13",
        statement="ε is the most sensitive parameter",
        statistic="main effects of a functional ANOVA over the levels tried, bootstrapped over seeds",
        support="ε comes first in at least 95 % of bootstraps",
        contradiction="another parameter comes first in at least 95 % of bootstraps",
    ),
    Hypothesis(
        name="H14",
        statement="warmup helps because early second moments are noisy",
        statistic="paired gain of the longest warmup over none, in the upper half of the learning rates and tuned",
        support="Adam gains in the upper half of the learning rates, and more than momentum does",
        contradiction="Adam loses there, or gains less than momentum; a gain there alone is one of stability",
    ),
    Hypothesis(
        name="H15",
        statement="decay removes late oscillation",
        statistic="ratio of the variance of the loss over the last fifth of the steps, cosine to constant",
        support="the ratio's interval lies below 1",
        contradiction="the ratio's interval lies above 1",
    ),
    Hypothesis(
        name="H16",
        statement="RMSprop beats Adagrad; AdamW differs from Adam with L2",
        statistic="paired contrasts, ε, B and weight decay tuned for each on other seeds",
        support="RMSprop's advantage lies above 0 and AdamW's difference excludes 0",
        contradiction="Adagrad is better, or AdamW and Adam are equivalent within one seed's standard deviation",
    ),
    Hypothesis(
        name="H17",
        statement="raising ε one should raise B for stability",
        statistic="logistic regression of instability on log B and log ε",
        support="the coefficient of log B lies below 0",
        contradiction="the coefficient of log B lies above 0",
    ),
    Hypothesis(
        name="H18",
        statement="small batches leave saddle points that full batches stop at",
        statistic="slope of log steps until the loss leaves its plateau on log B, at fixed ε, from scaled-down weights",
        support="the slope's interval lies above 0",
        contradiction="the slope's interval lies below 0",
    ),
    Hypothesis(
        name="H19",
        statement="too large ε oscillates, too small never arrives: at a fixed B some ε is best",
        statistic="share of batch sizes with an identified optimum, as in H8, beside the variance "
        "of the loss at the end, above the best rate over that at it",
        given="lr",
        reverse=True,
        support="at least 80 % of the batch sizes have an identified optimum",
        contradiction="at least 80 % of the batch sizes are shown flat, within one seed's standard deviation",
    ),
    Hypothesis(
        name="H20",
        statement="steps to a target obey S = S_min (1 + B_crit/B), and B_crit grows with the target's difficulty",
        statistic="fit to the fewest steps at each B, ε tuned for each on other seeds; ratio of B_crit at the hardest "
        "target to that at the easiest, over seeds",
        support="the hyperbola misses the steps by 10 % at most at every target, and the ratio's interval lies above 1",
        contradiction="it misses them by over 10 %, beyond the noise of seeds (Holm), or the interval lies below 1",
    ),
    Hypothesis(
        name="H21",
        statement="Seesaw: where ε would be divided by k, ε/√k and B × k do the same (Adam; for SGD ε and B × k)",
        statistic="as H11, of step and seesaw",
        support="the difference's interval lies within one seed's standard deviation in every cell",
        contradiction="the difference lies outside it in one cell or more (Holm)",
    ),
    Hypothesis(
        name="H22",
        statement="AdamW's best weight decay λ is in proportion to B at a fixed ε and horizon D: one B/(ελD) is best",
        statistic="slope of log λ_opt on log B",
        given="batch_size",
        target=1.0,
    ),
    Hypothesis(
        name="H23",
        statement="Muon's critical batch size is larger than AdamW's",
        statistic="ratio of B_crit with Muon to that with AdamW, of the hyperbolas of H20, at the hardest target that "
        "both reach at three batch sizes; the wider interval of that from the two fits and that over seeds, paired",
        support="the ratio's interval lies above 1",
        contradiction="the ratio's interval lies below 1",
    ),
    Hypothesis(
        name="H24",
        statement="warmup's gain is tolerance of larger ε: it moves the largest stable ε, not the best loss",
        statistic="median over seeds of the octaves by which the largest ε that trains lies higher with the longest "
        "warmup than with none, each known to lie between two rates; paired gain of the score, ε tuned on other seeds",
        support="the shift's interval lies above 0, the gain's within one seed's standard deviation",
        contradiction="the shift's interval lies below half an octave and not above 0, or the gain lies outside one "
        "seed's standard deviation",
    ),
    Hypothesis(
        name="H25",
        statement="the larger B, the less wrong ε may be",
        statistic="slope on log₂ B of the octaves of ε at which the mean score falls short of the best at that B by "
        "2.8 deviations of one seed at most, which one run each does not tell; ranges open at the grid's edge censored",
        support="the slope's interval lies below 0",
        contradiction="the slope's interval lies above 0",
    ),
    Hypothesis(
        name="H26",
        statement="the slope of ε_opt on B rises with the horizon",
        statistic="trend of the slopes of log ε_opt on log B over log₂ of the horizon, with random effects of groups",
        support="the trend's interval lies above 0",
        contradiction="the trend's interval lies below 0",
    ),
    Hypothesis(
        name="H27",
        statement="batch sharpness settles at 2/ε at every B",
        statistic="batch sharpness, the mean over batches of gᵀHg/|g|² with a batch's own gradient and Hessian, times "
        "ε/2: its mean over the last quarter of training by plain SGD, and its change from the quarter before",
        support="at every B the ratio's interval lies within [0.8, 1.25] and its change within ± 0.225 in one cell or "
        "more, and it lies elsewhere only where it moves and has not come so far",
        contradiction="in one cell or more it lies outside, and would after as much training again at the rate of its "
        "change (Holm), and has come to 0.8 before or changes by less than a tenth",
    ),
)
_STAGGERED = "staggered: each learning rate has batch sizes of its own, shifted by 0, 1/3 or 2/3 of their spacing"
CATALOGUE: dict[str, Hypothesis] = {hypothesis.name: hypothesis for hypothesis in _ALL}
OF_A_TABLE = tuple(name for name, hypothesis in CATALOGUE.items() if hypothesis.given == "lr")


def hypothesis_named(name: str) -> Hypothesis:
    """The hypothesis of a name, in capitals or not.

    Raises:
        BatchlawError: there is none.
    """
    for entry in _ALL:
        if entry.name.lower() == str(name).lower():
            return entry
    raise BatchlawError(f"must be one of {', '.join(CATALOGUE)}", argument="hypothesis", got=name)


def preregistration(claim: Claim) -> list[dict[str, str]]:
    """What is fixed before the first run: each claim, what would support and what would contradict it."""
    entries = [CATALOGUE[name] for name in claim.hypotheses]
    grid = {"grid": _STAGGERED} if claim.grid == "staggered" else {}
    return [
        {
            "hypothesis": entry.name,
            "statement": entry.statement,
            "statistic": entry.statistic,
            "supported_if": entry.supports(claim.margin),
            "contradicted_if": entry.contradicts(claim.margin),
        }
        | grid
        for entry in entries
    ]
