"""The evaluation of a ladder that reads a text: every shorter ladder against it, in money."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from core.calibration import FloatArray
from core.contracts import PERSON
from core.spec import DecisionSpec
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import Settled, clusters_of, columns_of, settle
from lab.evaluation import (
    Confusion,
    Evaluation,
    Figure,
    Money,
    Reliability,
    SliceRow,
    SplitReport,
    StepReport,
    Uplift,
)
from lab.gate import decide
from lab.intervals import share
from lab.kpi import together
from lab.latency import Places, p95_of_least, timed_places
from lab.reliability import reliability_of
from lab.slicing import slice_masks, slice_row
from lab.statistics import judge_slices, paired_mean
from lab.temporal_split import DAY, moments_of
from lab.traces import Observed
from router.policy import CostPolicy

TimeAgain = Callable[[str, Places], Sequence[float]]
METRIC = "cost"
WHOLE = "ladder"
DEPLOYABLE = ("rules", WHOLE)
MEANINGS = {
    "person": "a person settles every request",
    "rules": "the rules, and a person where they are silent",
    "classical": "rules and the classical models, then a person",
    "retrieval": "up to retrieval, then a person",
    "ladder": "every rung that decision.yaml has",
}


def evaluation_of(
    spec: DecisionSpec,
    policy: CostPolicy,
    seen: Sequence[Observed],
    split: SplitReport,
    fitted: Sequence[DecisionRow],
    *,
    snapshot: str | None,
    parity: Mapping[str, int] | None = None,
    time_again: TimeAgain,
    seed: int = 0,
) -> Evaluation:
    """`seen` are the test rows, in the order of time; `fitted` what models were fitted on.

    `time_again` puts the rows at these places of `seen` through the ladder of that name once more,
    and gives their milliseconds.

    Only `rules` and the whole ladder can be deployed: between them the expected-cost policy asks a
    rung where it pays, and the shorter ladders are yardsticks that show whether it does.
    """
    ladders = _ladders(spec, policy, seen)
    costs = {name: np.array([one.cost for one in settled]) for name, settled in ladders.items()}
    clusters = clusters_of(spec, seen)

    def mean(values: FloatArray) -> Figure:
        return paired_mean(values, clusters, seed=seed)

    steps = [
        StepReport(
            name=name,
            meaning=MEANINGS[name],
            deployable=name in DEPLOYABLE,
            figures={METRIC: mean(costs[name]), **_shares(settled)},
        )
        for name, settled in ladders.items()
    ]
    names = list(ladders)
    uplifts = [
        Uplift(
            step=step,
            over=simpler,
            metric=METRIC,
            diff=mean(costs[simpler] - costs[step]),
            needed=_needed(spec, step),
        )
        for place, step in enumerate(names)
        for simpler in names[:place]
    ]
    slices = _slices(spec, seen, fitted, costs, clusters, seed)
    simpler = "rules" if "rules" in costs else PERSON
    reliability = _reliability(ladders, clusters, seed)
    gate = decide(
        gate=spec.gate,
        steps=steps,
        uplifts=uplifts,
        slices={(WHOLE, simpler): slices},
        reliability=reliability,
        latency_ms=_latency(spec, policy, seen, time_again),
        latency_limit_ms=spec.budgets.latency_p95_ms,
        parity=parity,
    )
    return Evaluation(
        kind="decision",
        decision=spec.name,
        snapshot=snapshot,
        metric=METRIC,
        better="lower",
        unit=f"{spec.costs.currency} a decision",
        split=split,
        steps=tuple(steps),
        uplifts=tuple(uplifts),
        gate=gate,
        slices=slices,
        slices_over=simpler,
        reliability=reliability.get(WHOLE),
        confusion=_confusion(spec, seen, ladders[WHOLE]),
        money=_money(spec, mean(costs[WHOLE]), mean(costs["person"] - costs[WHOLE])),
        together=together(
            spec, -costs[WHOLE], [one.row.kpi for one in seen], np.array(clusters), seed=seed
        ),
    )


def _needed(spec: DecisionSpec, step: str) -> float:
    """The whole has its price; the shorter ladders are yardsticks."""
    return spec.gate.worthwhile("ladder", "rules") if step == WHOLE else 0.0


def _ladders(
    spec: DecisionSpec, policy: CostPolicy, seen: Sequence[Observed]
) -> dict[str, list[Settled]]:
    """Each row as every shorter ladder would settle it, from a person alone to the whole."""
    person = policy.costs.of_person()
    ladders = {PERSON: [Settled(rung=PERSON, right=None, cost=person) for _ in seen]}
    rungs = [rung for rung in spec.ladder if rung != PERSON]
    for place, rung in enumerate(rungs):
        asked = set(rungs[: place + 1])
        name = WHOLE if place + 1 == len(rungs) else rung
        ladders[name] = [
            settle(policy, replace(one, verdicts=tuple(v for v in one.verdicts if v.rung in asked)))
            for one in seen
        ]
    return ladders


def _shares(settled: Sequence[Settled]) -> dict[str, Figure]:
    judged = [one.right for one in settled if one.right is not None]
    answered = Figure.model_validate(share([one.right is not None for one in settled]))
    return {"answered": answered} | (
        {"right": Figure.model_validate(share(judged))} if judged else {}
    )


def _slices(
    spec: DecisionSpec,
    seen: Sequence[Observed],
    fitted: Sequence[DecisionRow],
    costs: dict[str, FloatArray],
    clusters: Sequence[str],
    seed: int,
) -> tuple[SliceRow, ...]:
    """The whole ladder against the rules alone."""
    columns = columns_of(seen)
    before: dict[str, list[Any]] = {
        name: [row.facts[name] for row in fitted] for name in seen[0].row.facts if fitted
    }
    ages = None
    if time := spec.request.time_field:
        moments = moments_of([str(one.row.facts[time]) for one in seen])
        ages = (moments.max() - moments) / DAY
    masks = slice_masks(spec, columns, before={**columns, **before}, days_old=ages)
    simpler = "rules" if "rules" in costs else PERSON
    verdicts = judge_slices(costs[WHOLE] - costs[simpler], masks, clusters)
    return tuple(
        slice_row(mask, verdict, costs[WHOLE], np.array(clusters), seed)
        for mask, verdict in zip(masks, verdicts, strict=True)
    )


def _reliability(
    ladders: Mapping[str, Sequence[Settled]], clusters: Sequence[str], seed: int
) -> dict[str, Reliability]:
    """By ladder, over the answers that came with a probability; of those without none claims any.

    The rules alone claim none, so that nothing takes the place of a ladder that claims too much.
    """
    told = {}
    for name, settled in ladders.items():
        sure = [
            (one.probability, one.right, cluster)
            for one, cluster in zip(settled, clusters, strict=True)
            if one.probability is not None and one.right is not None
        ]
        if sure:
            p, right, owners = (np.array(column) for column in zip(*sure, strict=True))
            told[name] = reliability_of(name, p, right, owners, method="each rung's own", seed=seed)
    return told


def _latency(
    spec: DecisionSpec, policy: CostPolicy, seen: Sequence[Observed], time_again: TimeAgain
) -> dict[str, float]:
    """p95 in milliseconds of each ladder that can be deployed, up to the rung that settled a row.

    Storing the decision is not in it: that costs every ladder the same.
    """
    places = timed_places(len(seen))
    limit = spec.budgets.latency_p95_ms

    timed = _ladders(spec, policy, [seen[place] for place in places])

    def again(name: str, slow: Places) -> Sequence[float]:
        return time_again(name, places[slow])

    return {
        name: p95_of_least([one.milliseconds for one in settled], limit, partial(again, name))
        for name, settled in timed.items()
        if name in DEPLOYABLE
    }


def _confusion(
    spec: DecisionSpec, seen: Sequence[Observed], settled: Sequence[Settled]
) -> Confusion:
    counts = Counter((one.row.truth, own.done) for one, own in zip(seen, settled, strict=True))
    truths = sorted({truth for truth, _ in counts})
    done = sorted({what for _, what in counts})
    return Confusion(
        truths=tuple(truths),
        outcomes=tuple(done),
        counts=tuple(tuple(counts[truth, what] for what in done) for truth in truths),
    )


def _money(spec: DecisionSpec, cost: Figure, saved: Figure) -> Money:
    month = spec.gate.decisions_per_month
    return Money(
        currency=spec.costs.currency,
        decisions_per_month=month,
        cost=cost.times(month),
        saved=saved.times(month),
    )
