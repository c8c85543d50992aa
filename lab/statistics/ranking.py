"""Figures of one ranked list, with the gain named: a linear and an exponential NDCG differ."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from core.embedding import FloatArray

Gain = Literal["linear", "exponential"]


def ndcg(
    relevances: Sequence[float],
    *,
    gain: Gain,
    judged: Sequence[float] | None = None,
    cut: int | None = None,
) -> float:
    """Gains discounted by log2(place + 1), over the best order (Järvelin & Kekäläinen 2002).

    `relevances` are those of the list from its top, `judged` those of every judged document (by
    default the list's own). Linear takes the relevance, exponential 2^relevance - 1 (Burges et al.
    2005). [3, 2, 3, 0, 1, 2] is .96081 and .94881. 0 where nothing is relevant.
    """
    ideal = sorted(relevances if judged is None else judged, reverse=True)
    best = _discounted(ideal[:cut], gain)
    return _discounted(relevances[:cut], gain) / best if best else 0.0


def average_precision(relevant: Sequence[bool], *, judged: int | None = None) -> float:
    """Mean of the precision at each relevant place; those not in the list (`judged`) count 0."""
    hits = np.asarray(relevant, dtype=bool)
    total = int(hits.sum()) if judged is None else judged
    if not total:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / total)


def reciprocal_rank(relevant: Sequence[bool]) -> float:
    """1 / the place of the first relevant document, 0 without; its mean over queries is MRR."""
    places = np.flatnonzero(np.asarray(relevant, dtype=bool))
    return float(1 / (places[0] + 1)) if len(places) else 0.0


def _discounted(relevances: Sequence[float], gain: Gain) -> float:
    values: FloatArray = np.asarray(relevances, dtype=float)
    gains = values if gain == "linear" else 2**values - 1
    return float((gains / np.log2(np.arange(len(values)) + 2)).sum())
