"""Order statistics of all differences between two samples, without holding all of them.

10,000 values a side have 100 million differences, 800 MB; this takes memory for the values alone.
"""

import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray

Places = npt.NDArray[np.intp]


def median_difference(ours: FloatArray, theirs: FloatArray) -> float:
    """Hodges & Lehmann's (1963) shift of `ours` (n,) over `theirs` (m,)."""
    pairs = len(ours) * len(theirs)
    low, high = (difference_at(ours, theirs, rank) for rank in ((pairs + 1) // 2, pairs // 2 + 1))
    return (low + high) / 2


def difference_at(ours: FloatArray, theirs: FloatArray, rank: int) -> float:
    """The `rank`-th smallest, from 1, of all ours_i - theirs_j.

    Differences rise along both sorted samples. Each round takes the weighted median of the rows'
    medians as a pivot and drops a quarter of what is left (Johnson & Mizoguchi 1978). Raises
    ValueError where a value is not finite or there is no such rank.
    """
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("differences are ordered only where all values are finite")
    if not 1 <= rank <= len(ours) * len(theirs):
        raise ValueError(f"no rank {rank} among {len(ours)} x {len(theirs)} differences")
    rows, columns = np.sort(ours), np.sort(theirs)[::-1]
    low, high = np.zeros(len(rows), dtype=np.intp), np.full(len(rows), len(columns))
    while True:
        left = high > low
        weights, middles = (high - low)[left], rows[left] - columns[(low + high)[left] // 2]
        order = np.argsort(middles)
        reached = np.cumsum(weights[order])
        pivot = float(middles[order][np.searchsorted(reached, reached[-1] / 2)])
        below, up_to = (_counted(rows, columns, pivot, equal=equal) for equal in (False, True))
        if rank <= below.sum():
            high = np.minimum(high, below)
        elif rank > up_to.sum():
            low = np.maximum(low, up_to)
        else:
            return pivot


def _counted(rows: FloatArray, columns: FloatArray, pivot: float, *, equal: bool) -> Places:
    """How many differences of each row are below the pivot, or equal to it too.

    Compares differences themselves, as rounded: row - pivot against columns would round otherwise.
    """
    low, high = np.zeros(len(rows), dtype=np.intp), np.full(len(rows), len(columns))
    while (searched := low < high).any():
        middle = (low + high) // 2
        found = rows - columns[np.minimum(middle, len(columns) - 1)]
        before = searched & ((found <= pivot) if equal else (found < pivot))
        low = np.where(before, middle + 1, low)
        high = np.where(searched & ~before, middle, high)
    return low
