"""What a ranker sees of each candidate; the same function when it is fitted and when it serves."""

import numpy as np

from core.embedding import FloatArray
from rankers.fusion import fuse, min_max
from rankers.index import COSINE_PLACES, Candidates, HybridIndex
from rankers.terms import IntArray

VERSION = "candidates.v1"

# In the matrix's column order. Scores are of the candidate's whole text unless named otherwise.
FEATURES = (
    "bm25",
    "bm25_scaled",  # min-max over the candidates of this text
    "bm25_rank",  # 1 is best
    "bm25_reciprocal_rank",
    "dense",
    "dense_scaled",
    "dense_rank",
    "dense_reciprocal_rank",
    "fused",  # the two scaled scores in equal parts
    "title_bm25",
    "title_overlap",  # share of the query's words that the title has
    "overlap",  # … that title and text have
    "coverage",  # the same, weighted by idf
    "pair_overlap",  # share of the query's neighbouring pairs
    "neighbour_cosine",  # to the mean of the best fused candidates
    "log_length",  # of the candidate in words
    "query_length",
)

NEIGHBOURS = 3


def ranks(scores: FloatArray) -> FloatArray:
    """1 for the highest; ties go to the earlier row, which is the smaller id."""
    order = np.argsort(-scores, kind="stable")
    places = np.empty(len(scores))
    places[order] = np.arange(1, len(scores) + 1)
    return places


def feature_matrix(index: HybridIndex, found: Candidates) -> FloatArray:
    """Shape (candidates, features), columns as in FEATURES."""
    query, rows = found.words, found.rows
    bm25_ranks, dense_ranks = ranks(found.bm25), ranks(found.dense)
    fused = fuse(found.bm25, found.dense, 0.5)
    overlap, coverage = index.text.coverage(query, rows)
    columns = {
        "bm25": found.bm25,
        "bm25_scaled": min_max(found.bm25),
        "bm25_rank": bm25_ranks,
        "bm25_reciprocal_rank": 1 / bm25_ranks,
        "dense": found.dense,
        "dense_scaled": min_max(found.dense),
        "dense_rank": dense_ranks,
        "dense_reciprocal_rank": 1 / dense_ranks,
        "fused": fused,
        "title_bm25": index.title.scores(query)[rows].astype(np.float64),
        "title_overlap": index.title.coverage(query, rows)[0],
        "overlap": overlap,
        "coverage": coverage,
        "pair_overlap": index.text.pairs(query, rows),
        "neighbour_cosine": _neighbour_cosine(index, rows, fused),
        "log_length": np.log1p(index.text.lengths(rows)),
        "query_length": np.full(len(rows), float(len(query))),
    }
    return np.column_stack([columns[name] for name in FEATURES])


def _neighbour_cosine(index: HybridIndex, rows: IntArray, fused: FloatArray) -> FloatArray:
    best = rows[np.argsort(-fused, kind="stable")[:NEIGHBOURS]]
    centre = index.vectors[best].mean(axis=0, dtype=np.float64)
    cosines = index.vectors[rows].astype(np.float64) @ centre
    rounded: FloatArray = np.round(
        cosines / max(float(np.linalg.norm(centre)), 1e-12), COSINE_PLACES
    )
    return rounded
