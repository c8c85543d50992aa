"""Figures of ranked lists, by query, from trec_eval through ir-measures."""

from collections.abc import Mapping, Sequence
from typing import Literal

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, Success, nDCG

from core.embedding import FloatArray

Gain = Literal["linear", "exp"]

MEASURES = {
    "ndcg@10": nDCG @ 10,
    "ndcg@1": nDCG @ 1,
    "success@1": Success @ 1,
    "recall@100": R @ 100,
    "map": AP,
    "mrr@10": RR @ 10,
}


def figures_by_query(
    runs: Mapping[str, Sequence[str]],
    relevance: Mapping[str, Mapping[str, int]],
    names: Sequence[str] = tuple(MEASURES),
    *,
    gain: Gain = "linear",
) -> dict[str, FloatArray]:
    """Each figure for every query of `relevance` in its order; a query without a run scores 0.

    trec_eval's gain is linear. The exponential one, 2^relevance - 1, is the same computation over
    relevance so transformed.
    """
    graded = {
        query: {d: score if gain == "linear" else 2**score - 1 for d, score in judged.items()}
        for query, judged in relevance.items()
    }
    # trec_eval breaks ties by its own rule, so the scores are places: ours is the order that counts
    scored = {
        query: {document: float(-place) for place, document in enumerate(runs.get(query, ()))}
        for query in relevance
    }
    place = {query: row for row, query in enumerate(relevance)}
    wanted = {MEASURES[name]: name for name in names}
    values: dict[str, FloatArray] = {name: np.zeros(len(place)) for name in names}
    for figure in ir_measures.iter_calc(list(wanted), graded, scored):
        values[wanted[figure.measure]][place[figure.query_id]] = figure.value
    return values
