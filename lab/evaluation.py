"""What an evaluation says, as it is stored, printed and drawn: every figure with interval and n."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

FORMAT = 2
EVALUATION = "evaluation"  # the kind of the artifact that holds these files
EVALUATION_FILE = "evaluation.json"
CHECKS_FILE = "checks.json"  # of the snapshot it was judged on


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(Part):
    """A mean with its 95 % interval over `n` rows; `clusters` where whole entities were drawn."""

    mean: float
    ci_low: float
    ci_high: float
    n: int
    clusters: int | None = None

    def times(self, factor: float) -> "Figure":
        """The same in another unit, such as a month's decisions; `factor` is above 0."""
        scaled = {name: getattr(self, name) * factor for name in ("mean", "ci_low", "ci_high")}
        return self.model_copy(update=scaled)


class StepReport(Part):
    """One step of the baseline ladder on the test rows; `figures` by metric.

    `absent` says why there are no figures. A step that is not `deployable` is a yardstick only.
    """

    name: str
    meaning: str
    deployable: bool = True
    figures: dict[str, Figure] = {}
    absent: str = ""
    chosen: dict[str, str | float | int | bool | None] = {}  # what validation rows settled


class Uplift(Part):
    """How much better `step` is than `over` by `metric`, paired by row; above 0 is better.

    `needed` is the least that the gate asks for, in the unit of the metric.
    """

    step: str
    over: str
    metric: str
    diff: Figure
    needed: float = 0.0


class ShareOfHeaviest(Part):
    """What share of the heaviest step's `metric` the simplest model, `step`, reaches."""

    step: str
    metric: str
    share: Figure


class SplitReport(Part):
    """`kind` is random only where it was asked for; `embargoed` rows were left out."""

    kind: Literal["temporal", "random", "given"]
    fit: int
    validation: int
    test: int
    embargoed: int = 0
    cuts: tuple[str, ...] = ()  # times or row numbers at which a part ends
    base_rate: dict[str, float] = {}  # of the positive label, by part


class SplitComparison(Part):
    """The same recipe on a random and on the temporal split."""

    step: str
    metric: str
    random: Figure
    temporal: Figure
    gap: Figure  # random minus temporal; n is the smaller sample's
    believe: Literal["temporal", "random"]
    why: str


class SliceRow(Part):
    """One value of one slice. `figure` is money a decision, `diff` the extra money against the
    simpler step (above 0 is worse), `q` its p-value after Benjamini-Hochberg over all slices."""

    slice: str
    value: str
    n: int
    critical: bool = False
    bound: float | None = None
    figure: Figure | None = None
    accuracy: Figure | None = None
    diff: Figure | None = None
    p: float | None = None
    q: float | None = None
    verdict: Literal["holds", "worse", "insufficient data"]
    needed: int | None = None  # rows that would settle it, where there are too few


class ReliabilityBin(Part):
    """`null_low` to `null_high` holds 95 % of what a perfectly calibrated model shows here."""

    confidence: float
    observed: float
    n: int
    null_low: float
    null_high: float


class Reliability(Part):
    """`ece` is above 0 by chance alone: `ece_null` is what a calibrated model shows at this n."""

    step: str
    bins: tuple[ReliabilityBin, ...]
    ece: Figure
    ece_null_mean: float
    ece_null_p95: float
    ece_null_p99: float
    brier: Figure
    log_loss: Figure
    method: str  # the calibrator that held-out log-loss chose


class Curve(Part):
    """`points` are (x, y), thinned for drawing; `baseline` is the y of knowing nothing."""

    name: Literal["roc", "precision_recall"]
    step: str
    area: Figure
    points: tuple[tuple[float, float], ...]
    baseline: float | None = None


class CostCurve(Part):
    """Money a decision if every probability at or above `threshold` were taken for positive.

    `policy` is what the expected-cost policy costs, which may also ask a person.
    """

    step: str
    points: tuple[tuple[float, float], ...]  # (threshold, cost)
    chosen: float  # the threshold that the costs imply
    at_chosen: Figure
    policy: Figure


class Weighting(Part):
    """Fitting with weights from the cost matrix against thresholds alone, in money a decision."""

    step: str
    thresholds_alone: Figure
    weighted: Figure
    diff: Figure  # weighted minus thresholds alone
    chosen: Literal["thresholds", "weights"]


class Conformal(Part):
    """Split-conformal abstention: `covered` is how often the set of labels held the truth."""

    alpha: float
    covered: Figure
    answered: Figure  # share of the rows whose set is one label
    right: Figure | None  # among those answered


class Confusion(Part):
    """Rows by truth (down) and what was done (across)."""

    truths: tuple[str, ...]
    outcomes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Money(Part):
    """Per month at `decisions_per_month`; `saved` against the simplest step."""

    currency: str
    decisions_per_month: float
    cost: Figure
    saved: Figure | None = None


class Together(Part):
    """Whether the target and the KPI move together: rank correlation over rows with both."""

    kpi: str
    correlation: Figure | None
    verdict: Literal["together", "against", "unclear", "not measured"]
    why: str


class GateReason(Part):
    """One condition of the gate. `holds` is None where there is too little data to say."""

    code: str
    holds: bool | None
    what: str


class GateReport(Part):
    """`registered` is what the gate lets in: `preferred` where everything holds, else simpler."""

    registered: str
    heaviest: str
    reasons: tuple[GateReason, ...]
    problem: str = ""  # of data or framing, where nothing beats the rules


class Evaluation(Part):
    """`kind`: a decision by fields (table) or by text (decision), or one model of it."""

    format: int = FORMAT
    kind: Literal["table", "decision", "router", "ranker"]
    decision: str
    snapshot: str | None = None
    metric: str  # what steps are compared by, such as "cost"
    better: Literal["lower", "higher"]
    unit: str
    split: SplitReport
    steps: tuple[StepReport, ...]
    uplifts: tuple[Uplift, ...] = ()
    share_of_heaviest: ShareOfHeaviest | None = None
    gate: GateReport
    split_comparison: SplitComparison | None = None
    slices: tuple[SliceRow, ...] = ()
    slices_over: str = ""  # the simpler step that the registered one is held against in slices
    reliability: Reliability | None = None
    curves: tuple[Curve, ...] = ()
    cost_curve: CostCurve | None = None
    weighting: Weighting | None = None
    conformal: Conformal | None = None
    confusion: Confusion | None = None
    money: Money | None = None
    together: Together | None = None
    notes: tuple[str, ...] = ()
