"""Fits every step of the baseline ladder on a table, each on the rows whose label was known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray, Uncalibrated
from core.errors import InvalidDocument
from core.spec import STEPS, DecisionSpec, StepName
from lab.risk_steps import MEANINGS, FittedStep, Labels, fit_step
from lab.statistics import least_probability, paired_mean
from lab.table_data import TableData
from lab.table_money import ALWAYS, Asking, act, class_weights
from lab.temporal_split import DAY, Split, delay_rows
from router.risk import ConstantScore, RiskModel

Progress = Callable[[str, int, int], None]
Codes = npt.NDArray[np.intp]
NO_LABEL = 2  # of the codes of the last known label, and of the rules' verdict: neither 0 nor 1
LEAST_IN_PART = 5  # of either label; fewer say nothing about a probability


@dataclass(frozen=True, kw_only=True)
class Step:
    """`probabilities` (n,) are of all rows of the table; `model` is what would be deployed."""

    name: StepName
    meaning: str
    probabilities: FloatArray
    model: RiskModel | None  # None: a yardstick that cannot be deployed
    after_rules: bool  # whether the rules answer first
    asking: Asking
    chosen: Mapping[str, str | float | int | bool | None]


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """The heaviest step fitted with the costs as weights, and whether validation preferred it."""

    step: StepName
    alone: FloatArray  # probabilities (n,) without the weights
    weighted: FloatArray
    preferred: bool


@dataclass(frozen=True, kw_only=True)
class FittedLadder:
    steps: tuple[Step, ...]
    absent: Mapping[StepName, str]
    weighting: Weighted | None


def fit_ladder(
    data: TableData,
    split: Split,
    *,
    heavier: bool = False,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> FittedLadder:
    """From the simplest to the heaviest. Raises InvalidDocument where a part lacks a label."""
    refuse_parts(data.table.labels, split)
    steps, absent = _yardsticks(data, split)
    models: list[StepName] = ["linear", "shallow_tree", "boosted"]
    if heavier:
        models.append("boosted_large")
    else:
        absent["boosted_large"] = "fitted only when asked for, with --heavier"
    fitted: dict[StepName, FittedStep] = {}
    for number, name in enumerate(models):
        progress("fitting the baseline ladder", number, len(models) + 1)
        fitted[name] = fit_step(name, data.table, split.fit, split.validation, seed=seed)
    progress("fitting the baseline ladder", len(models), len(models) + 1)
    heaviest = models[-1]
    weighted, weighting = _with_weights(data, split, fitted[heaviest], seed)
    if weighting.preferred:
        fitted[heaviest] = weighted
    progress("fitting the baseline ladder", len(models) + 1, len(models) + 1)
    steps += [
        Step(
            name=name,
            meaning=MEANINGS[name],
            probabilities=one.predict(data.table.rows),
            model=one.model,
            after_rules=True,
            asking=asking_of(data, split, one.predict(data.table.rows)),
            chosen=one.chosen,
        )
        for name, one in fitted.items()
    ]
    order = {name: place for place, name in enumerate(STEPS)}
    steps.sort(key=lambda step: order[step.name])
    return FittedLadder(steps=tuple(steps), absent=absent, weighting=weighting)


def asking_of(data: TableData, split: Split, probabilities: FloatArray) -> Asking:
    """What the validation rows that the rules left open say of a step; it settles the policy."""
    silent = np.array([row for row in split.validation if data.said[row] is None], dtype=np.intp)
    labels = data.table.labels
    alpha = data.spec.risk.abstain_alpha if data.spec.risk else None
    least = None
    if alpha is not None:
        p, rows = probabilities[split.validation], labels[split.validation].astype(np.intp)
        least = least_probability(np.column_stack([1 - p, p]), rows, alpha=alpha)
    if not len(silent):
        return Asking(after=data.spec.costs.of_person(), least=least)
    nobody = [None] * len(silent)
    known = Asking(least=least)
    costs = act(data.spec, probabilities[silent], labels[silent], nobody, known).cost
    return Asking(after=float(costs.mean()) - data.spec.costs.of_asking("classical"), least=least)


def ladder_of(
    data: TableData, model: RiskModel, name: StepName, rate: float, asking: Asking
) -> FittedLadder:
    """A step that was fitted before, beside the constant `rate` of its training."""
    constant = _constant(data, rate)
    given: list[tuple[StepName, RiskModel]] = [("constant", constant)]
    if name != "constant":
        given.append((name, model))
    steps = [
        Step(
            name=each,
            meaning=MEANINGS[each],
            probabilities=own.predict(data.table.rows),
            model=own,
            after_rules=own is not constant,
            asking=asking if own is not constant else ALWAYS,
            chosen={"calibration": str(own.calibrator.to_json()["kind"])},
        )
        for each, own in given
    ]
    return FittedLadder(steps=tuple(steps), absent={}, weighting=None)


def refuse_parts(labels: Labels, split: Split) -> None:
    """Raises InvalidDocument for a part that lacks one of the labels."""
    parts = {"fit": split.fit, "validation": split.validation, "test": split.test}
    for name, part in parts.items():
        positive = int(labels[part].sum())
        if min(positive, len(part) - positive) < LEAST_IN_PART:
            raise InvalidDocument(
                "RUNG-RISK-LABELS",
                f"the {name} part: {positive} of {len(part)} rows are labelled positive",
                way_out=f"Bring {LEAST_IN_PART} rows of either label in each part of the time.",
            )


def _yardsticks(data: TableData, split: Split) -> tuple[list[Step], dict[StepName, str]]:
    labels, absent = data.table.labels, dict[StepName, str]()
    rate = float(labels[split.fit].mean())
    has_rules = any(said is not None for said in data.said)
    constant = np.full(len(labels), rate)
    steps = [
        Step(
            name="constant",
            meaning=MEANINGS["constant"],
            probabilities=constant,
            # With rules the ladder asks them first, so that a bare constant cannot be deployed.
            model=None if has_rules else _constant(data, rate),
            after_rules=False,
            asking=ALWAYS,
            chosen={"rate": rate},
        )
    ]
    if data.spec.request.time is None:
        absent["last_label"] = "the rows have no order in time"
    else:
        steps.append(_grouped("last_label", data, split, last_known(data), None))
    if not has_rules:
        absent["rules"] = "no rule says anything about these rows"
        return steps, absent
    verdicts = _verdicts(data.spec, data.said)
    silent = _rates(labels, verdicts, split.fit)[NO_LABEL]
    steps.append(_grouped("rules", data, split, verdicts, _constant(data, silent)))
    return steps, absent


def _constant(data: TableData, rate: float) -> RiskModel:
    scorer = ConstantScore(rate)
    return RiskModel(names=data.table.names, scorer=scorer, calibrator=Uncalibrated())


def _grouped(
    name: StepName, data: TableData, split: Split, codes: Codes, model: RiskModel | None
) -> Step:
    rates = _rates(data.table.labels, codes, split.fit)
    told: dict[str, str | float | int | bool | None] = {
        f"rate_{code}": float(rate) for code, rate in enumerate(rates)
    }
    return Step(
        name=name,
        meaning=MEANINGS[name],
        probabilities=rates[codes],
        model=model,
        after_rules=name == "rules",
        asking=asking_of(data, split, rates[codes]),
        chosen=told,
    )


def _rates(labels: Labels, codes: Codes, fit: Codes) -> FloatArray:
    """Share of label 1 for each of three codes, shrunk to that of all by two rows (Laplace)."""
    positive = np.bincount(codes[fit], weights=labels[fit], minlength=3)
    counts = np.bincount(codes[fit], minlength=3)
    rates: FloatArray = (positive + 2 * labels[fit].mean()) / (counts + 2)
    return rates


def _verdicts(spec: DecisionSpec, said: Sequence[str | None]) -> Codes:
    risk = spec.risk
    assert risk is not None
    code = {risk.otherwise: 0, risk.outcome: 1}
    return np.array([code.get(outcome, NO_LABEL) if outcome else NO_LABEL for outcome in said])


def last_known(data: TableData) -> Codes:
    """The label that was known last when each row came: 0, 1, or NO_LABEL.

    Of the same entity where the request has one. A label is known `label_delay_days` (or
    `label_delay_rows`) after its row.
    """
    spec, labels = data.spec, data.table.labels
    order = np.arange(len(labels), dtype=np.int64)
    if data.times is not None:
        order, delay = data.times, round(spec.framing.label_delay_days * DAY)
    else:
        delay = delay_rows(spec)
    codes = np.full(len(labels), NO_LABEL, dtype=np.intp)
    groups: dict[str, list[int]] = {}
    clusters = data.clusters if spec.request.entity else np.full(len(labels), "")
    for row, cluster in enumerate(clusters):
        groups.setdefault(str(cluster), []).append(row)
    for members in groups.values():
        own = np.array(members)
        # Strictly before this row, and known by now.
        # Of rows of the same moment none is known to another, however short the delay.
        side: Literal["left", "right"] = "right" if delay else "left"
        known = np.searchsorted(order[own], order[own] - delay, side=side)
        known = np.minimum(known, np.arange(len(own)))
        has = known > 0
        codes[own[has]] = labels[own[known[has] - 1]].astype(np.intp)
    return codes


def _with_weights(
    data: TableData, split: Split, alone: FittedStep, seed: int
) -> tuple[FittedStep, Weighted]:
    """Weights are taken only where validation rows say that they save money for sure."""
    labels = data.table.labels
    own = class_weights(data.spec, labels, split.fit)
    weighted = fit_step(alone.name, data.table, split.fit, split.validation, weights=own, seed=seed)
    plain, other = alone.predict(data.table.rows), weighted.predict(data.table.rows)
    rows = split.validation
    said = [data.said[row] for row in rows]
    saved = (
        act(data.spec, plain[rows], labels[rows], said).cost
        - act(data.spec, other[rows], labels[rows], said).cost
    )
    preferred = paired_mean(saved, data.clusters[rows], seed=seed).ci_low > 0
    name: StepName = "boosted" if alone.name == "boosted" else "boosted_large"
    return weighted, Weighted(step=name, alone=plain, weighted=other, preferred=preferred)
