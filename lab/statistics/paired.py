"""Paired intervals of any figure of rows, resampling the unit that was drawn: the entity.

Rows of one customer are not independent; drawing rows as if they were gives intervals that are too
narrow (facts of one fraud set: uplift [.020, .075] by row, [.005, .092] by customer). A resample
draws as many clusters as there are, with replacement, and a row weighs as often as its cluster was
drawn (Field & Welsh 2007, the cluster bootstrap; percentile interval).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray
from lab.evaluation import Figure

RESAMPLES = 1000
CHUNK = 2_000_000  # drawn places held at a time: 16 MB
Clusters = Sequence[str] | npt.NDArray[Any]


def units_of(entities: Iterable[object]) -> list[str]:
    """Whose each row is; a row without an entity (None) is nobody's and stands alone."""
    return [
        f"row {number}" if entity is None else f"entity {entity}"
        for number, entity in enumerate(entities)
    ]


def paired_mean(
    values: FloatArray, clusters: Clusters | None = None, *, resamples: int = RESAMPLES, seed: int
) -> Figure:
    """Mean of per-row `values` (n,), usually one step's loss minus another's on the same row.

    Where clusters are unequal this is the ratio of their sums to their sizes. The interval does not
    depend on the order of rows nor on the names of clusters. Raises ValueError on no rows.
    """
    return paired_ratio(values, np.ones(len(values)), clusters, resamples=resamples, seed=seed)


def paired_ratio(
    parts: FloatArray,
    wholes: FloatArray,
    clusters: Clusters | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int,
) -> Figure:
    """Σ `parts` (n,) / Σ `wholes` (n,), such as what one step saves of what another saves.

    Both are summed over the same drawn rows. Samples whose whole is not above 0 are left out: ask
    first whether it surely is. Raises ValueError on no rows, or a whole that is not above 0.
    """
    parts, wholes = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if not len(parts):
        raise ValueError("an interval needs at least one row")
    if not wholes.sum() > 0:
        raise ValueError("a share of nothing is not defined")
    codes = cluster_codes(clusters, len(parts))
    order = np.lexsort((wholes, parts, codes))  # so that sums round alike in every order of rows
    ours = np.bincount(codes[order], weights=parts[order])
    theirs = np.bincount(codes[order], weights=wholes[order])
    by_content = np.lexsort((theirs, ours))
    ours, theirs = ours[by_content], theirs[by_content]
    source, drawn_ratios = np.random.default_rng(seed), np.empty(resamples)
    step = max(1, CHUNK // len(ours))
    for start in range(0, resamples, step):
        end = min(start + step, resamples)
        drawn = source.integers(0, len(ours), (end - start, len(ours)))
        above, below = ours[drawn].sum(axis=1), theirs[drawn].sum(axis=1)
        drawn_ratios[start:end] = np.divide(
            above, below, out=np.full(len(above), np.nan), where=below > 0
        )
    return Resampled(
        mean=float(ours.sum() / theirs.sum()),
        drawn=drawn_ratios,
        n=len(parts),
        clusters=_counted(clusters, len(ours), len(parts)),
    ).figure()


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

    Raises as `resampled` does.
    """
    return resampled(figure, clusters, resamples=resamples, seed=seed).figure()


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A figure over all rows (`mean`) and over each sample, NaN where one lacks what it needs."""

    mean: float
    drawn: FloatArray
    n: int
    clusters: int | None

    def figure(self) -> Figure:
        return self._within(self.mean, self.drawn)

    def centred(self) -> Figure:
        """For a figure that resampling itself pushes one way: the draws are moved back by that."""
        return self._within(self.mean, self.drawn - (float(np.nanmean(self.drawn)) - self.mean))

    def less(self, other: "Resampled") -> Figure:
        """This minus the figure of another sample of rows, `n` being the smaller sample's.

        Every draw of one with every draw of the other, as rows of one say nothing about the other.
        """
        gaps = np.subtract.outer(self.drawn, other.drawn).ravel()
        return min(self, other, key=lambda one: one.n)._within(self.mean - other.mean, gaps)

    def _within(self, mean: float, drawn: FloatArray) -> Figure:
        low, high = (float(end) for end in np.nanquantile(drawn, [0.025, 0.975]))
        return Figure(mean=mean, ci_low=low, ci_high=high, n=self.n, clusters=self.clusters)


def resampled(
    figure: Callable[[FloatArray], float],
    clusters: Clusters | int,
    *,
    resamples: int = RESAMPLES,
    seed: int,
) -> Resampled:
    """`figure` of `resamples` samples of whole clusters.

    It may be NaN for a sample that lacks what it needs (no positives); such samples are left
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
    return Resampled(mean=mean, drawn=drawn_figures, n=rows, clusters=_counted(named, count, rows))


def cluster_codes(clusters: Clusters | None, rows: int) -> npt.NDArray[np.intp]:
    """Each row's cluster as a number from 0, in the order of the names; without, each its own."""
    if clusters is None:
        return np.arange(rows)
    named = np.asarray(clusters)
    if len(named) != rows:
        raise ValueError(f"{len(named)} clusters for {rows} rows")
    codes: npt.NDArray[np.intp] = np.unique(named, return_inverse=True)[1]
    return codes


def _counted(clusters: Clusters | None, count: int, rows: int) -> int | None:
    """None where every row stands alone."""
    return count if clusters is not None and count < rows else None


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
