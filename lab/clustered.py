"""Intervals that resample whole clusters: rows of one customer are not independent."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

RESAMPLES = 2000


def units_of(entities: Iterable[object]) -> list[str]:
    """Whose each row is; a row without an entity (None) is nobody's and stands alone."""
    return [
        f"row {number}" if entity is None else f"entity {entity}"
        for number, entity in enumerate(entities)
    ]


def mean_interval(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0
) -> dict[str, float]:
    """Mean, its 95 % bootstrap percentile interval over clusters, rows and clusters counted.

    Each resample draws as many clusters as there are and takes the ratio of sums, so that clusters
    of any size weigh by their rows (Field & Welsh 2007).
    """
    members: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    # By content, so that neither the rows' order nor the clusters' names have a say.
    parts = sorted((math.fsum(of_one), len(of_one)) for of_one in members.values())
    sums, sizes = np.array(parts).T
    generator = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for place in range(RESAMPLES):  # one at a time: all at once took 615 MB for 20,000 clusters
        drawn = generator.integers(0, len(parts), len(parts))
        means[place] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": float(sums.sum() / sizes.sum()),
        "ci_low": float(low),
        "ci_high": float(high),
        "n": int(sizes.sum()),
        "clusters": len(parts),
    }
