"""An isolation forest as arrays: how soon random cuts set a row apart from the others.

Liu, Ting and Zhou 2008; the numbers are those of scikit-learn's `score_samples`, sign turned.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray

FLOAT32 = float(np.finfo(np.float32).max)  # the cuts were made on float32 features
BATCH = 4096  # rows at once: every tree keeps its place for each of them


@dataclass(frozen=True, kw_only=True)
class IsolationForest:
    """Nodes of all trees, one after another. A leaf's children are itself, so that it stays."""

    feature: npt.NDArray[np.int32]  # (nodes,), 0 at a leaf
    threshold: npt.NDArray[np.float64]  # (nodes,), left where the value is at most this
    left: npt.NDArray[np.int32]  # (nodes,)
    right: npt.NDArray[np.int32]  # (nodes,)
    path: npt.NDArray[np.float64]  # (nodes,), at a leaf: depth and what its rows would still take
    roots: npt.NDArray[np.int32]  # (trees,)
    depth: int  # of the deepest tree
    usual_path: float  # the mean path at the size that each tree saw

    def scores(self, rows: FloatArray) -> FloatArray:
        """Anomaly in (0, 1) for each of the finite `rows` (n, features); 0.5 is ordinary."""
        if len(rows) > BATCH:
            parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
            return np.concatenate([self.scores(part) for part in parts])
        narrow = np.clip(rows, -FLOAT32, FLOAT32).astype(np.float32)
        nodes = np.repeat(self.roots[None, :], len(rows), axis=0)
        place = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            goes_left = narrow[place, self.feature[nodes]] <= self.threshold[nodes]
            nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
        mean_path = self.path[nodes].mean(axis=1)
        return cast(FloatArray, np.exp2(-mean_path / self.usual_path))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "path": self.path,
            "roots": self.roots,
            "usual": np.array([self.depth, self.usual_path]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> "IsolationForest":
        given = dict(arrays)
        depth, usual_path = given.pop("usual")
        return cls(**given, depth=int(depth), usual_path=float(usual_path))  # type: ignore[arg-type]
