"""How far a calibration error is from what a perfectly calibrated model shows by chance.

ECE is biased upwards: with uniform scores and 15 bins a *perfectly* calibrated model has a mean ECE
of .1225 at n=100, .0385 at 1,000 and .0120 at 10,000. So compare it with its null, or gate on
Brier score or log-loss, which are proper.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from core.embedding import FloatArray
from lab.evaluation import Figure, ReliabilityBin
from lab.statistics.paired import Clusters, resampled

ECE_BINS = 15
NULL_DRAWS = 1000
ERROR_RESAMPLES = 300  # each bins all rows

Mask = npt.NDArray[np.bool_]


def expected_calibration_error(top: FloatArray, right: Mask) -> float:
    """Guo et al. 2017, 15 equal-width bins: Σ n_b/n · |accuracy_b - confidence_b|.

    `top` (n,): the probability that was given, `right` (n,): whether it came true.
    """
    gaps = np.bincount(_bins(top, ECE_BINS), weights=right - top, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(top))


def calibration_error(
    top: FloatArray, right: Mask, clusters: Clusters | None = None, *, seed: int = 0
) -> Figure:
    """The same with a bootstrap interval over clusters.

    A resample adds its own noise to that of the rows, and ECE, a sum of absolute values, only
    rises by noise: percentiles as they are would lie above the figure. So they are moved back by
    what resampling adds on average. The interval is of the ECE at this n, of which chance is a
    part; how large a part, the null says.
    """
    placed, gaps = _bins(top, ECE_BINS), right - top

    def error(weights: FloatArray) -> float:
        by_bin = np.bincount(placed, weights=weights * gaps, minlength=ECE_BINS)
        return float(np.abs(by_bin).sum() / weights.sum())

    units = len(top) if clusters is None else clusters
    told = resampled(error, units, resamples=ERROR_RESAMPLES, seed=seed).centred()
    return told.model_copy(update={"ci_low": max(0.0, told.ci_low)})


def ece_null(top: FloatArray, *, seed: int = 0) -> dict[str, float]:
    """What the ECE of a perfectly calibrated model with these confidences comes to at this n."""
    source = np.random.default_rng(seed)
    drawn = [
        expected_calibration_error(top, source.random(len(top)) < top) for _ in range(NULL_DRAWS)
    ]
    p95, p99 = np.quantile(drawn, [0.95, 0.99])
    return {"mean": float(np.mean(drawn)), "p95": float(p95), "p99": float(p99)}


def reliability_bins(
    top: FloatArray, right: Mask, *, bins: int = ECE_BINS
) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram in equal-width bins; empty bins are left out.

    The null band holds 95 % of the binomial with the bin's n and mean confidence. Confidences that
    differ inside a bin make the true count (Poisson-binomial) vary less, so the band is if anything
    too wide (Hoeffding 1956).
    """
    placed = _bins(top, bins)
    counts = np.bincount(placed, minlength=bins)
    confidences = np.bincount(placed, weights=top, minlength=bins)
    rights = np.bincount(placed, weights=right, minlength=bins)
    told = []
    for place in np.flatnonzero(counts):
        n = int(counts[place])
        confidence = min(1.0, max(0.0, float(confidences[place] / n)))
        low, high = binom.ppf([0.025, 0.975], n, confidence) / n
        told.append(
            ReliabilityBin(
                confidence=confidence,
                observed=float(rights[place] / n),
                n=n,
                null_low=float(max(low, 0)),  # scipy gives -1 for a confidence of exactly 0
                null_high=float(max(high, 0)),
            )
        )
    return tuple(told)


def _bins(top: FloatArray, bins: int) -> npt.NDArray[np.intp]:
    return np.minimum((top * bins).astype(np.intp), bins - 1)
