"""How far a figure can be trusted: 95 % intervals of shares, and of any figure by resampling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankers.shares import wilson

RESAMPLES = 1000
Rows = npt.NDArray[np.intp]


def share(events: Any) -> dict[str, float]:
    """`mean` of a boolean column with Wilson's interval, and `n`. There is one row or more."""
    return wilson(int(np.sum(events)) / len(events), len(events)).told()


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Percentile intervals over resampled rows; all figures of one report share the samples."""

    rows: int
    seed: int

    def interval(
        self, figure: Callable[[Rows], float], *, resamples: int = RESAMPLES
    ) -> tuple[float, float]:
        """`figure` may be NaN for a sample that lacks what it needs; such samples are left out."""
        source = np.random.default_rng(self.seed)
        samples = (source.integers(0, self.rows, self.rows) for _ in range(resamples))
        low, high = np.nanquantile([figure(sample) for sample in samples], [0.025, 0.975])
        return float(low), float(high)

    def told(
        self, figure: Callable[[Rows], float], *, resamples: int = RESAMPLES
    ) -> dict[str, float]:
        """`mean`: the figure over all rows."""
        low, high = self.interval(figure, resamples=resamples)
        return {"mean": float(figure(np.arange(self.rows))), "ci_low": low, "ci_high": high}
