"""The ladder of a router or a ranker: steps compared by one value a row, where higher is better."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt

from core.calibration import FloatArray
from core.spec import Gate
from lab.evaluation import (
    Confusion,
    Evaluation,
    Figure,
    Reliability,
    ShareOfHeaviest,
    SplitReport,
    StepReport,
    Uplift,
)
from lab.gate import decide
from lab.statistics import paired_mean, paired_ratio


def evaluate_values(
    kind: Literal["router", "ranker"],
    name: str,
    metric: str,
    unit: str,
    values: Mapping[str, FloatArray],
    meanings: Mapping[str, str],
    split: SplitReport,
    *,
    yardsticks: Collection[str] = (),
    others: Mapping[str, Mapping[str, FloatArray]] | None = None,
    clusters: npt.NDArray[Any] | None = None,
    reliability: Reliability | None = None,
    confusion: Confusion | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Evaluation:
    """`values` (n,) by step, from the simplest to the heaviest; `others` are more figures by step.

    The heaviest is registered only if it beats every simpler one for sure. `yardsticks` are steps
    that nothing deploys.
    """

    def mean(of: FloatArray) -> Figure:
        return paired_mean(of, clusters, seed=seed)

    steps = [
        StepReport(
            name=step,
            meaning=meanings[step],
            deployable=step not in yardsticks,
            figures={metric: mean(own)}
            | {other: mean(of[step]) for other, of in (others or {}).items() if step in of},
        )
        for step, own in values.items()
    ]
    names = list(values)
    uplifts = [
        Uplift(step=step, over=simpler, metric=metric, diff=mean(values[step] - values[simpler]))
        for place, step in enumerate(names)
        for simpler in names[:place]
    ]
    gate = decide(
        gate=Gate(),
        steps=steps,
        uplifts=uplifts,
        slices={},
        reliability={},
        latency_ms=None,
        latency_limit_ms=None,
        parity=None,
    )
    return Evaluation(
        kind=kind,
        decision=name,
        metric=metric,
        better="higher",
        unit=unit,
        split=split,
        steps=tuple(steps),
        uplifts=tuple(uplifts),
        share_of_heaviest=_share(metric, values, clusters, seed),
        gate=gate,
        reliability=reliability,
        confusion=confusion,
        notes=tuple(notes),
    )


def _share(
    metric: str,
    values: Mapping[str, FloatArray],
    clusters: npt.NDArray[Any] | None,
    seed: int,
) -> ShareOfHeaviest | None:
    """None where the heaviest is not surely above 0: a share of that says nothing."""
    (simplest, ours), *_ = values.items()
    heaviest = list(values.values())[-1]
    if paired_mean(heaviest, clusters, seed=seed).ci_low <= 0:
        return None
    share = paired_ratio(ours, heaviest, clusters, seed=seed)
    return ShareOfHeaviest(step=simplest, metric=metric, share=share)
