"""How good a model probably is on rows whose labels have not come yet.

Confidence-based performance estimation: calibrated probabilities say how many answers are right in
expectation, if features drifted but their relation to the label did not. It is blind to concept
drift; that needs labels, which come late, so watch both.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from core.embedding import FloatArray
from lab.evaluation import Figure
from lab.statistics.paired import RankedScores

DRAWS = 300


@dataclass(frozen=True, kw_only=True)
class PerformanceEstimator:
    """`threshold` is the score from which on a row is taken for positive."""

    threshold: float
    calibrator: IsotonicRegression

    @classmethod
    def fit(
        cls, scores: FloatArray, positive: npt.NDArray[np.bool_], *, threshold: float = 0.5
    ) -> "PerformanceEstimator":
        """Isotonic calibration on labelled reference rows (n,) that the model was not fitted on."""
        calibrator = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        return cls(threshold=threshold, calibrator=calibrator.fit(scores, positive.astype(float)))

    def accuracy(self, scores: FloatArray, *, seed: int) -> Figure:
        """Expected (TP + TN) / n: Σ p over rows taken for positive, Σ (1 - p) over the others."""
        p = self._calibrated(scores)
        taken = scores >= self.threshold
        truths = self._truths(p, seed)
        right = [float((truth == taken).mean()) for truth in truths]
        return _told(float(np.where(taken, p, 1 - p).mean()), right, len(p))

    def auc(self, scores: FloatArray, *, seed: int) -> Figure | None:
        """Expected area: a row counts as p of a positive and 1 - p of a negative.

        None where the calibrated probabilities leave no doubt that one class is absent.
        """
        p = self._calibrated(scores)
        expected = RankedScores(scores, p).auc()
        if np.isnan(expected):
            return None
        drawn = [RankedScores(scores, truth).auc() for truth in self._truths(p, seed)]
        return _told(expected, drawn, len(p))

    def _calibrated(self, scores: FloatArray) -> FloatArray:
        return cast(FloatArray, self.calibrator.predict(scores))

    def _truths(self, p: FloatArray, seed: int) -> list[npt.NDArray[np.bool_]]:
        source = np.random.default_rng(seed)
        return [source.random(len(p)) < p for _ in range(DRAWS)]


def _told(mean: float, drawn: list[float], n: int) -> Figure:
    """The interval is where the figure would come out once labels are there, 95 % of the time."""
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Figure(mean=mean, ci_low=min(mean, float(low)), ci_high=max(mean, float(high)), n=n)
