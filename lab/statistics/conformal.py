"""Sets of labels that hold the truth at a chosen rate, and how far that rate can vary.

Split conformal prediction for classes with the score 1 - p(truth), the least ambiguous sets
(Sadinle, Lei & Wasserman 2019; Angelopoulos & Bates 2023). It promises marginal coverage where
calibration and new rows are exchangeable; over time they often are not.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from core.embedding import FloatArray
from lab.evaluation import Conformal
from lab.statistics.paired import RESAMPLES, Clusters, paired_mean

Sets = npt.NDArray[np.bool_]


def conformal_quantile(scores: FloatArray, alpha: float) -> float:
    """The ⌈(n+1)(1-alpha)⌉-th smallest of the calibration `scores` (n,), higher is stranger.

    Infinite where n is too small for alpha: then no label can be left out.
    """
    rank = _rank(len(scores), alpha)
    if rank > len(scores):
        return math.inf
    return float(np.partition(np.asarray(scores, dtype=float), rank - 1)[rank - 1])


def least_probability(
    probabilities: FloatArray, labels: npt.NDArray[np.intp], *, alpha: float
) -> float:
    """The probability from which on a label belongs to the set, settled on calibration rows.

    `probabilities` (n, classes), `labels` (n,) are places of classes. -inf takes every label.
    """
    truth = probabilities[np.arange(len(labels)), labels]
    return -conformal_quantile(-np.asarray(truth, dtype=float), alpha)


def label_sets(probabilities: FloatArray, least: float) -> Sets:
    """(n, classes): which labels a row's set holds. It may be empty, or hold several."""
    return np.asarray(probabilities, dtype=float) >= least


def coverage_range(n: int, alpha: float, *, central: float = 0.9) -> tuple[float, float]:
    """Where the true coverage lies over draws of `n` calibration rows, `central` of the time.

    Coverage ~ Beta(n + 1 - l, l) with l = ⌊(n+1)·alpha⌋ (Vovk 2012): at alpha=.1 it is
    [.848, .945] for n=100 and [.884, .915] for n=1,000. (1, 1) where n is too small for alpha and
    every set holds every label.
    """
    rank = _rank(n, alpha)
    if rank > n:
        return 1.0, 1.0
    tail = (1 - central) / 2
    low, high = beta.ppf([tail, 1 - tail], rank, n + 1 - rank)
    return float(low), float(high)


def judge_sets(
    sets: Sets,
    labels: npt.NDArray[np.intp],
    clusters: Clusters | None = None,
    *,
    alpha: float,
    resamples: int = RESAMPLES,
    seed: int,
) -> Conformal:
    """Coverage, how many rows are answered (one label in the set) and how often those are right."""
    held = sets[np.arange(len(labels)), labels]
    answered = sets.sum(axis=1) == 1
    own = None if clusters is None else np.asarray(clusters)[answered]
    right = None
    if answered.any():
        right = paired_mean(held[answered].astype(float), own, resamples=resamples, seed=seed)
    return Conformal(
        alpha=alpha,
        covered=paired_mean(held.astype(float), clusters, resamples=resamples, seed=seed),
        answered=paired_mean(answered.astype(float), clusters, resamples=resamples, seed=seed),
        right=right,
    )


def _rank(n: int, alpha: float) -> int:
    """⌈(n+1)(1-alpha)⌉ as n+1-⌊(n+1)·alpha⌋, with a hair so that 0.1·10 counts as 1."""
    return n + 1 - math.floor((n + 1) * alpha + 1e-9)
