"""Which rows belong to which slice, by what decision.yaml says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray
from core.spec import DecisionSpec, Slice
from lab.evaluation import Figure, SliceRow
from lab.statistics import SliceMask, SliceVerdict, paired_mean

MAX_VALUES = 200  # beyond it a column is an id or a text
RECENCY = "recency"  # every evaluation by time looks at it: does the model age?
Mask = npt.NDArray[np.bool_]


def slice_masks(
    spec: DecisionSpec,
    columns: Mapping[str, Sequence[Any]],
    *,
    before: Mapping[str, Sequence[Any]] | None = None,
    days_old: npt.NDArray[np.float64] | None = None,
) -> list[SliceMask]:
    """Of `columns`, the facts of the judged rows by field (and `language`).

    `before` are the training rows, whose shares say what is rare; `days_old` is each row's age
    against the newest. Rows come in the order of time.
    """
    masks: list[SliceMask] = []
    for part in spec.slice_specs:
        values = list(columns[part.of])
        kind = spec.request.fields[part.of].type if part.of in spec.request.fields else "category"
        if part.rarer_than is not None:
            named = _by_rarity(part, values, (before or columns)[part.of])
        elif part.edges:
            numbers = _ages(days_old, len(values)) if kind == "time" else _numbers(values)
            named = _by_edges(part.edges, numbers)
        else:
            earlier = before.get(part.of, ()) if before and part.critical else ()
            named = _by_value(values, earlier)
        masks += [
            SliceMask(
                name=part.name,
                value=value,
                mask=mask,
                critical=part.critical,
                bound=part.bound if part.bound is not None else spec.gate.slice_bound,
            )
            for value, mask in named
        ]
    if spec.request.time is not None:
        masks += _recency(len(next(iter(columns.values()), ())), spec.gate.slice_bound)
    return masks


def _by_value(values: Sequence[Any], earlier: Sequence[Any]) -> list[tuple[str, Mask]]:
    """Also of the `earlier` rows' values: one that no judged row has is none that passed."""
    told = [_told(value) for value in values]
    common = Counter([*told, *map(_told, earlier)]).most_common(MAX_VALUES)
    array = np.array(told)
    return [(value, array == value) for value in sorted(name for name, _ in common)]


def _told(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_edges(edges: Sequence[float], numbers: npt.NDArray[np.float64]) -> list[tuple[str, Mask]]:
    ordered = [-np.inf, *sorted(edges), np.inf]
    named = []
    for low, high in pairwise(ordered):
        bounds = [f">= {low:g}"] * (low > -np.inf) + [f"< {high:g}"] * (high < np.inf)
        named.append((", ".join(bounds), (numbers >= low) & (numbers < high)))
    unknown = np.isnan(numbers)
    return [*named, ("unknown", unknown)] if unknown.any() else named


def _by_rarity(
    part: Slice, values: Sequence[Any], training: Sequence[Any]
) -> list[tuple[str, Mask]]:
    shares = Counter(training)
    least = (part.rarer_than or 0) * len(training)
    rare = np.array([shares[value] < least for value in values])
    return [("rare", rare), ("common", ~rare)]


def _recency(rows: int, bound: float | None) -> list[SliceMask]:
    third = np.minimum(np.arange(rows) * 3 // max(rows, 1), 2)
    return [
        SliceMask(name=RECENCY, value=value, mask=third == place, bound=bound)
        for place, value in enumerate(("first third", "second third", "last third"))
    ]


def _numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else float(value) for value in values])


def _ages(days_old: npt.NDArray[np.float64] | None, rows: int) -> npt.NDArray[np.float64]:
    return np.full(rows, np.nan) if days_old is None else days_old


def slice_row(
    mask: SliceMask, verdict: SliceVerdict, costs: FloatArray, clusters: npt.NDArray[Any], seed: int
) -> SliceRow:
    """As the report shows it: `costs` (n,) of the judged step, the verdict on its extra cost."""
    rows, diff = np.flatnonzero(mask.mask), None
    if verdict.mean is not None and verdict.ci_low is not None and verdict.ci_high is not None:
        diff = Figure(
            mean=verdict.mean,
            ci_low=verdict.ci_low,
            ci_high=verdict.ci_high,
            n=verdict.n,
            clusters=verdict.clusters,
        )
    return SliceRow(
        slice=mask.name,
        value=mask.value,
        n=verdict.n,
        critical=mask.critical,
        bound=mask.bound,
        figure=paired_mean(costs[rows], clusters[rows], seed=seed) if len(rows) else None,
        diff=diff,
        p=verdict.p,
        q=verdict.q,
        verdict=verdict.verdict,
        needed=verdict.needed,
    )
