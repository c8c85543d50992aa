"""Fits and judges a decision that goes by its fields alone, and keeps what the gate lets in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from core.spec import StepName
from lab.evaluate_table import evaluate_table
from lab.evaluation import Evaluation
from lab.fit_table import FittedLadder, Progress, fit_ladder, ladder_of
from lab.latency import Places, p95_of_least, timed_places, took_ms
from lab.table_data import TableData
from lab.table_money import AFTER_RULES, Asking
from lab.temporal_split import all_given, split_rows
from router.policy import Bins
from router.risk import RiskModel


@dataclass(frozen=True, kw_only=True)
class TrainedTable:
    """`model` is of the step that the gate registered."""

    model: RiskModel
    after: Mapping[str, Bins]  # of the expected-cost policy
    evaluation: Evaluation


def train_table(
    data: TableData,
    *,
    snapshot: str | None = None,
    kind: str = "temporal",
    heavier: bool = False,
    seed: int = 0,
    parity: Mapping[str, int] | None = None,
    progress: Progress = lambda step, done, total: None,
) -> TrainedTable:
    """Raises InvalidDocument where the rows cannot be trained on."""
    split = split_rows(data.spec, len(data.table.labels), data.times, kind=kind, seed=seed)
    ladder = fit_ladder(data, split, heavier=heavier, seed=seed, progress=progress)
    evaluation = evaluate_table(
        data,
        split,
        ladder,
        snapshot=snapshot,
        seed=seed,
        latency_ms=_latency(data, ladder),
        parity=parity,
        progress=progress,
    )
    registered = evaluation.gate.registered
    step = next(step for step in ladder.steps if step.name == registered)
    assert step.model is not None  # the gate registers what can be deployed
    model = replace(step.model, least=step.asking.least)
    after = step.asking.bins(len(split.validation))
    return TrainedTable(model=model, after=after, evaluation=evaluation)


def judge_table(
    data: TableData,
    model: RiskModel,
    step: StepName,
    rate: float,
    after: Mapping[str, Bins],
    *,
    snapshot: str | None,
    seed: int = 0,
) -> Evaluation:
    """A model that is deployed with its policy, on rows that it never saw, against a constant."""
    means = after[AFTER_RULES].means if AFTER_RULES in after else (0.0,)
    asking = Asking(after=means[0], least=model.least)
    ladder = ladder_of(data, model, step, rate, asking)
    return evaluate_table(
        data,
        all_given(len(data.table.labels)),
        ladder,
        snapshot=snapshot,
        seed=seed,
        latency_ms=_latency(data, ladder),
        judged=step,
    )


def _latency(data: TableData, ladder: FittedLadder) -> dict[str, float]:
    """p95 in milliseconds of one row at a time, by step; all that surrounds it costs them alike."""
    rows = data.table.rows[timed_places(len(data.table.rows))]
    limit = data.spec.budgets.latency_p95_ms

    def timed(model: RiskModel, places: Places) -> list[float]:
        return [took_ms(partial(model.predict, rows[place][None, :])) for place in places]

    every = np.arange(len(rows), dtype=np.intp)
    return {
        step.name: p95_of_least(timed(step.model, every), limit, partial(timed, step.model))
        for step in ladder.steps
        if step.model is not None
    }
