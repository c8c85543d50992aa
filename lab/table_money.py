"""What acting on a probability costs, row by row, as the deployed ladder would act."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray
from core.contracts import PERSON
from core.spec import DecisionSpec
from lab.risk_steps import Labels
from router.policy import ABSTAINED, Bins

AFTER_RULES = f"rules>classical/{ABSTAINED}"  # the policy's key where no rule spoke


@dataclass(frozen=True, kw_only=True)
class Acted:
    """`done` are places in `outcomes` (the last is a person), `cost` is money, both by row."""

    outcomes: tuple[str, ...]
    done: npt.NDArray[np.intp]
    cost: FloatArray


@dataclass(frozen=True, kw_only=True)
class Asking:
    """`after` is what a request costs on average once the model was asked, its own price apart.

    `least` is the probability from which on an outcome belongs to a request's conformal set: where
    the set does not hold exactly one, a person decides. None: nobody asked for such sets.
    """

    after: float = 0.0
    least: float | None = None

    def bins(self, rows: int) -> dict[str, Bins]:
        """As the expected-cost policy keeps it, for a request that the rules left open."""
        return {AFTER_RULES: Bins(edges=(), means=(self.after,), counts=(rows,))}


ALWAYS = Asking()  # as if asking cost nothing more


def act(
    spec: DecisionSpec,
    probabilities: FloatArray,
    labels: Labels,
    said: Sequence[str | None],
    asking: Asking = ALWAYS,
) -> Acted:
    """The rules first; then the outcome of least expected cost, or a person where that is less.

    `probabilities` (n,) are of `risk.outcome`, `labels` (n,) say whether it was right. The model is
    asked where that is expected to cost less than a person, as the deployed policy has it.
    """
    costs, outcomes = spec.costs, sorted(spec.outcomes)
    truths = _truths(spec)
    matrix = np.array([[costs.of(outcome, truth) for truth in truths] for outcome in outcomes])
    belief = np.stack([1 - probabilities, probabilities])
    expected = matrix.T[0][:, None] * belief[0] + matrix.T[1][:, None] * belief[1]
    best = expected.argmin(axis=0)
    person = len(outcomes)
    done = np.where(expected.min(axis=0) <= costs.of_person(), best, person)
    done = np.where(is_open(belief, asking.least), person, done)
    price = costs.of_asking("classical")
    asks = "rules" not in spec.ladder or price + asking.after <= costs.of_person()
    asked = np.full(len(labels), price if asks else 0.0)
    if not asks:
        done = np.full(len(labels), person)
    place = {name: number for number, name in enumerate([*outcomes, PERSON])}
    for row, outcome in enumerate(said):
        if outcome is not None:
            done[row] = place[outcome]
            asked[row] = 0.0
    every = np.vstack([matrix, np.full((1, 2), costs.of_person())])
    cost = every[done, labels.astype(np.intp)] + asked
    return Acted(outcomes=(*outcomes, PERSON), done=done, cost=cost)


def is_open(belief: FloatArray, least: float | None) -> npt.NDArray[np.bool_]:
    """Whether a row's conformal set holds none or both of the outcomes; `belief` is (2, n)."""
    if least is None:
        return np.zeros(belief.shape[1], dtype=bool)
    open_rows: npt.NDArray[np.bool_] = (belief >= least).sum(axis=0) != 1
    return open_rows


def cost_at(spec: DecisionSpec, probabilities: FloatArray, labels: Labels, at: float) -> FloatArray:
    """Money by row if `risk.outcome` is done at or above the threshold `at`, else `otherwise`."""
    otherwise, outcome = _truths(spec)
    miss, alarm = spec.costs.of(otherwise, outcome), spec.costs.of(outcome, otherwise)
    positive = probabilities >= at
    return cast(FloatArray, np.where(positive, (1 - labels) * alarm, labels * miss))


def threshold(spec: DecisionSpec) -> float:
    """p at which both outcomes cost the same: alarm / (alarm + miss) (Elkan 2001)."""
    otherwise, outcome = _truths(spec)
    miss, alarm = spec.costs.of(otherwise, outcome), spec.costs.of(outcome, otherwise)
    return alarm / (alarm + miss) if alarm + miss else 0.5


def class_weights(spec: DecisionSpec, labels: Labels, fit: npt.NDArray[np.intp]) -> FloatArray:
    """Each row weighs what getting it wrong costs, scaled to a mean of 1 over the rows `fit`."""
    otherwise, outcome = _truths(spec)
    miss, alarm = spec.costs.of(otherwise, outcome), spec.costs.of(outcome, otherwise)
    weights = np.where(labels > 0.5, miss, alarm)
    return cast(FloatArray, weights / weights[fit].mean())


def _truths(spec: DecisionSpec) -> tuple[str, str]:
    """Of label 0 and of label 1."""
    risk = spec.risk
    assert risk is not None and risk.otherwise is not None  # the spec holds it so without a text
    return risk.otherwise, risk.outcome
