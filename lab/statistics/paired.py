"""Paired intervals of any figure of rows, resampling the unit that was drawn: the entity.

Rows of one customer are not independent; drawing rows as if they were gives intervals that are too
narrow (facts of one fraud set: uplift [.020, .075] by row, [.005, .092] by customer). A resample
draws as many clusters as there are, with replacement, and a row weighs as often as its cluster was
drawn (Field & Welsh 2007, the cluster bootstrap; percentile interval).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray
from lab.evaluation import Figure

RESAMPLES = 1000
CHUNK = 2_000_000  # drawn places held at a time: 16 MB
Clusters = Sequence[str] | npt.NDArray[Any]


def paired_mean(
    values: FloatArray, clusters: Clusters | None = None, *, resamples: int = RESAMPLES, seed: int
) -> Figure:
    """Mean of per-row `values` (n,), usually one step's loss minus another's on the same row.

    Where clusters are unequal this is the ratio of their sums to their sizes. The interval does not
    depend on the order of rows nor on the names of clusters. Raises ValueError on no rows.
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ValueError("an interval needs at least one row")
    codes = cluster_codes(clusters, len(values))
    order = np.lexsort((values, codes))  # so that sums round alike in every order of rows
    sums = np.bincount(codes[order], weights=values[order])
    sizes = np.bincount(codes)
    by_content = np.lexsort((sizes, sums))
    sums, sizes = sums[by_content], sizes[by_content]
    source, drawn_means = np.random.default_rng(seed), np.empty(resamples)
    step = max(1, CHUNK // len(sums))
    for start in range(0, resamples, step):
        end = min(start + step, resamples)
        drawn = source.integers(0, len(sums), (end - start, len(sums)))
        drawn_means[start:end] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return _told(float(sums.sum() / sizes.sum()), drawn_means, len(values), clusters, len(sums))


def paired_interval(
    figure: Callable[[FloatArray], float],
    clusters: Clusters | int,
    *,
    resamples: int = RESAMPLES,
    seed: int,
) -> Figure:
    """Any `figure` of weighted rows: it gets (n,) weights, how often each row was drawn.

    `clusters` holds each row's entity, or is the number of rows where each stands for itself. For a
    paired difference `figure` takes one step's figure minus the other's under the same weights:

        ours, theirs = RankedScores(p_ours, y), RankedScores(p_theirs, y)
        paired_interval(lambda w: ours.auc(w) - theirs.auc(w), customers, resamples=300, seed=0)

    `figure` may be NaN for a sample that lacks what it needs (no positives); such samples are left
    out. Clusters are drawn in the order of their names, so rows may come in any order; without
    clusters the order of rows is theirs. Raises ValueError on no rows, or where the figure is NaN
    over all rows.
    """
    rows = clusters if isinstance(clusters, int) else len(clusters)
    if not rows:
        raise ValueError("an interval needs at least one row")
    named = None if isinstance(clusters, int) else clusters
    codes = cluster_codes(named, rows)
    count = int(codes.max()) + 1
    mean = float(figure(np.ones(rows)))
    if np.isnan(mean):
        raise ValueError("the figure is not defined over all rows")
    source, drawn_figures = np.random.default_rng(seed), np.empty(resamples)
    for place in range(resamples):
        times = np.bincount(source.integers(0, count, count), minlength=count)
        drawn_figures[place] = figure(times[codes].astype(float))
    return _told(mean, drawn_figures, rows, named, count)


def cluster_codes(clusters: Clusters | None, rows: int) -> npt.NDArray[np.intp]:
    """Each row's cluster as a number from 0, in the order of the names; without, each its own."""
    if clusters is None:
        return np.arange(rows)
    named = np.asarray(clusters)
    if len(named) != rows:
        raise ValueError(f"{len(named)} clusters for {rows} rows")
    codes: npt.NDArray[np.intp] = np.unique(named, return_inverse=True)[1]
    return codes


def _told(
    mean: float, drawn: FloatArray, rows: int, clusters: Clusters | None, count: int
) -> Figure:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    counted = count if clusters is not None and count < rows else None  # else rows stand alone
    return Figure(mean=mean, ci_low=float(low), ci_high=float(high), n=rows, clusters=counted)


class RankedScores:
    """Scores of two classes, sorted once, so that a bootstrap sample costs two cumulative sums."""

    def __init__(self, scores: FloatArray, positive: npt.NDArray[Any]) -> None:
        """`scores` (n,), higher is likelier positive; `positive` (n,) of booleans or 0 and 1."""
        scores = np.asarray(scores, dtype=float)
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._positive = np.asarray(positive, dtype=float)[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def auc(self, weights: FloatArray | None = None) -> float:
        """Area under the ROC curve: the weighted share of pairs in order, ties by half.

        NaN where either class has no weight. Mann-Whitney's U over weights (Hanley & McNeil 1982).
        """
        positives, negatives = self._by_score(weights)
        pairs = positives.sum() * negatives.sum()
        if not pairs:
            return float("nan")
        below = np.cumsum(negatives) - negatives / 2
        return float((positives * below).sum() / pairs)

    def average_precision(self, weights: FloatArray | None = None) -> float:
        """Σ (recall_k - recall_{k-1}) · precision_k over distinct scores; NaN without positives."""
        positives, negatives = (part[::-1] for part in self._by_score(weights))
        found = np.cumsum(positives)
        if not found[-1]:
            return float("nan")
        taken = found + np.cumsum(negatives)
        held = taken > 0  # a prefix that the sample did not draw has no precision, and no recall
        return float((positives[held] * found[held] / taken[held]).sum() / found[-1])

    def _by_score(self, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Weight of positives and of negatives at each distinct score, from the lowest."""
        ranked = np.ones(len(self._order)) if weights is None else weights[self._order]
        positive = ranked * self._positive
        return (
            np.add.reduceat(positive, self._starts),
            np.add.reduceat(ranked - positive, self._starts),
        )
