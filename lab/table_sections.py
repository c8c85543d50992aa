"""The parts of a table's evaluation that are about money and about abstaining."""

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray
from lab.evaluation import (
    Conformal,
    Confusion,
    CostCurve,
    Money,
    Weighting,
)
from lab.fit_table import Step
from lab.statistics import judge_sets, label_sets, least_probability
from lab.table_judge import Judge
from lab.table_money import act, cost_at, threshold

ALPHA = 0.1  # of the conformal sets: nine in ten hold the truth
LEAST_WITH_KPI = 30


def cost_curve(judge: Judge, step: Step) -> CostCurve:
    spec, p = judge.data.spec, judge.probabilities(step)
    at = threshold(spec)
    grid = np.unique(np.concatenate([np.linspace(0, 1, 101), [at]]))
    points = [(float(x), float(cost_at(spec, p, judge.labels, x).mean())) for x in grid]
    return CostCurve(
        step=step.name,
        points=tuple(points),
        chosen=at,
        at_chosen=judge.mean(cost_at(spec, p, judge.labels, at)),
        policy=judge.mean(judge.acted(step).cost),
    )


def weighting(judge: Judge) -> Weighting | None:
    spec, own = judge.data.spec, judge.ladder.weighting
    if own is None:
        return None
    test = judge.split.test

    def cost(probabilities: FloatArray) -> FloatArray:
        return act(spec, probabilities[test], judge.labels, judge.said).cost

    alone, weighted = cost(own.alone), cost(own.weighted)
    return Weighting(
        step=own.step,
        thresholds_alone=judge.mean(alone),
        weighted=judge.mean(weighted),
        diff=judge.mean(weighted - alone),
        chosen="weights" if own.preferred else "thresholds",
    )


def conformal(judge: Judge, step: Step) -> Conformal:
    def both(places: npt.NDArray[np.intp]) -> FloatArray:
        p = step.probabilities[places]
        return np.column_stack([1 - p, p])

    labels = judge.data.table.labels.astype(np.intp)
    rows = judge.split.validation
    least = least_probability(both(rows), labels[rows], alpha=ALPHA)
    return judge_sets(
        label_sets(both(judge.split.test), least),
        labels[judge.split.test],
        judge.clusters,
        alpha=ALPHA,
        seed=judge.seed,
    )


def confusion(judge: Judge, step: Step) -> Confusion:
    acted, risk = judge.acted(step), judge.data.spec.risk
    assert risk is not None and risk.otherwise is not None
    counts = [
        np.bincount(acted.done[judge.labels == label], minlength=len(acted.outcomes))
        for label in (0, 1)
    ]
    return Confusion(
        truths=(risk.otherwise, risk.outcome),
        outcomes=acted.outcomes,
        counts=tuple(tuple(int(n) for n in row) for row in counts),
    )


def money(judge: Judge, step: Step) -> Money:
    month = judge.data.spec.gate.decisions_per_month
    cost = judge.acted(step).cost
    simplest = judge.acted(judge.ladder.steps[0]).cost
    return Money(
        currency=judge.data.spec.costs.currency,
        decisions_per_month=month,
        cost=judge.mean(cost).times(month),
        saved=None if step is judge.ladder.steps[0] else judge.mean(simplest - cost).times(month),
    )
