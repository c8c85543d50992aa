"""Two lists of scores become one: min-max normalised, then mixed linearly.

Score of d = w · minmax(dense)(d) + (1 - w) · minmax(bm25)(d), the convex combination of Bruch, Gai
and Ingber (2023), "An Analysis of Fusion Functions for Hybrid Retrieval", who find it ahead of
reciprocal rank fusion and little sensitive to the choice of normalisation; SciFact agrees.
"""

import numpy as np

from core.embedding import FloatArray


def min_max(scores: FloatArray) -> FloatArray:
    """To [0, 1] over the candidates of one text; all zero where they do not differ."""
    if not len(scores):
        return np.zeros(0)
    low, high = float(scores.min()), float(scores.max())
    if high - low < 1e-12:
        return np.zeros(len(scores))
    scaled: FloatArray = (scores - low) / (high - low)
    return scaled


def fuse(bm25: FloatArray, dense: FloatArray, weight: float) -> FloatArray:
    """`weight` is the share of the dense score, 0 to 1."""
    fused: FloatArray = weight * min_max(dense) + (1 - weight) * min_max(bm25)
    return fused
