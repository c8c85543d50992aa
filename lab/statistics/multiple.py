"""Many tests at once: how many of the findings may be false (Benjamini & Hochberg 1995)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from core.embedding import FloatArray


def benjamini_hochberg(
    p_values: Sequence[float] | FloatArray, *, alpha: float = 0.05
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """q-values (m,) and which are rejected, so that at most `alpha` of those are false on average.

    q_(i) = min over k >= i of p_(k)·m/k. Holds where tests are independent or depend positively
    (Benjamini & Yekutieli 2001). Raises ValueError where a p-value is outside [0, 1].
    """
    if not len(p_values):
        return np.empty(0), np.empty(0, dtype=bool)
    q = np.asarray(false_discovery_control(p_values, method="bh"), dtype=float)
    return q, q <= alpha
