"""Intervals that resample whole clusters: rows of one customer are not independent."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def mean_interval(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """Mean, its 95 % bootstrap percentile interval over clusters, rows and clusters counted.

    Each resample draws as many clusters as there are and takes the ratio of sums, so that clusters
    of any size weigh by their rows (Field & Welsh 2007).
    """
    names, places = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(places, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(places)
    draws = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": float(sums.sum() / sizes.sum()),
        "ci_low": float(low),
        "ci_high": float(high),
        "n": int(sizes.sum()),
        "clusters": len(names),
    }
