"""Whether a text belongs to any intent at all: doubt, distance and kinship to known outsiders.

The features are the same in lab and here. Cheap ones need the TF-IDF model alone, the full ones
the embedding too. `other` is the log-odds of the class of outsiders, where training had any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from core.calibration import Calibrator, FloatArray, from_json, logit, sigmoid

CHUNK = 1024  # rows that are compared at once with all neighbours
# One request is multiplied without BLAS, whose threads and torch's fight for the cores: embedding
# and searching 10,000 texts took 27 ms p50 and 120 ms p99 with it, 12 and 18 ms without.
FEW = 8


@dataclass(frozen=True, kw_only=True)
class LogisticScore:
    """calibrator(sigmoid(features · weights + bias))."""

    weights: tuple[float, ...]
    bias: float
    calibrator: Calibrator

    def probability(self, features: FloatArray) -> FloatArray:
        return self.calibrator.apply(self.raw(features))

    def raw(self, features: FloatArray) -> FloatArray:
        return sigmoid(features @ np.array(self.weights) + self.bias)

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": list(self.weights),
            "bias": self.bias,
            "calibrator": self.calibrator.to_json(),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "LogisticScore":
        calibrator = from_json(told["calibrator"])
        return cls(weights=tuple(told["weights"]), bias=told["bias"], calibrator=calibrator)


@dataclass(frozen=True, kw_only=True)
class ScopeModel:
    """P(out of scope) from the cheap features alone, and from all.

    `look_again_at`: from this cheap probability on, the embedding is asked, however sure the cheap
    model is of its intent. `abstain_at`: from this full probability on, the text has no intent. A
    text that the embedding was not asked about is never called out of scope.
    """

    cheap: LogisticScore
    full: LogisticScore
    look_again_at: float
    abstain_at: float

    def to_json(self) -> dict[str, Any]:
        return {
            "cheap": self.cheap.to_json(),
            "full": self.full.to_json(),
            "look_again_at": self.look_again_at,
            "abstain_at": self.abstain_at,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "ScopeModel":
        return cls(
            cheap=LogisticScore.from_json(told["cheap"]),
            full=LogisticScore.from_json(told["full"]),
            look_again_at=told["look_again_at"],
            abstain_at=told["abstain_at"],
        )


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Vectors of training texts, in half precision: a cosine keeps three digits."""

    inside: npt.NDArray[np.float16]  # (n, dimensions), of texts that have an intent
    outside: npt.NDArray[np.float16]  # (m, dimensions), of texts that have none

    def nearest(self, vectors: FloatArray) -> FloatArray:
        """Cosine to the nearest inside and, where there are any outside, to the nearest there."""
        columns = [_nearest(vectors, self._inside)]
        if len(self.outside):
            columns.append(_nearest(vectors, self._outside))
        return np.column_stack(columns)

    @cached_property
    def _inside(self) -> FloatArray:
        return self.inside.astype(np.float32)

    @cached_property
    def _outside(self) -> FloatArray:
        return self.outside.astype(np.float32)


def _nearest(vectors: FloatArray, known: FloatArray) -> FloatArray:
    rows = np.asarray(vectors, dtype=np.float32)
    if len(rows) <= FEW:
        return np.einsum("id,kd->ik", rows, known).max(axis=1)  # type: ignore[no-any-return]
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return np.concatenate([(chunk @ known.T).max(axis=1) for chunk in chunks])


def cheap_features(probabilities: FloatArray, other: FloatArray) -> FloatArray:
    """Entropy and doubt of the intents' probabilities (n, k), and `other` (n, 0 or 1)."""
    return np.column_stack([_entropy(probabilities), _doubt(probabilities), other])


def full_features(
    mixed: FloatArray, cheap_other: FloatArray, embedded_other: FloatArray, nearest: FloatArray
) -> FloatArray:
    """Of the mixed probabilities (n, k), both classes of outsiders and the `nearest` cosines."""
    columns = [_entropy(mixed), _doubt(mixed), -nearest[:, :1], cheap_other, embedded_other]
    if nearest.shape[1] > 1:
        columns.append(nearest[:, 1:] - nearest[:, :1])
    return np.column_stack(columns)


def split_other(logits: FloatArray, intents: int) -> tuple[FloatArray, FloatArray]:
    """The intents' logits (n, k), and the log-odds of the outsiders' class (n, 1), or (n, 0)."""
    inside = logits[:, :intents]
    if logits.shape[1] == intents:
        return inside, np.empty((len(logits), 0))
    together = np.logaddexp.reduce(inside, axis=1)
    return inside, logits[:, intents:] - together[:, None]


def _entropy(probabilities: FloatArray) -> FloatArray:
    clipped = np.clip(probabilities, 1e-12, 1)
    return cast(FloatArray, -(clipped * np.log(clipped)).sum(axis=1))


def _doubt(probabilities: FloatArray) -> FloatArray:
    return -logit(probabilities.max(axis=1))
