"""Applies what calibration learned: a score becomes a probability, wherever it is used.

A calibrator is a few numbers, found in lab on held-out rows and kept as JSON. Each maps scores in
[0, 1] to probabilities in [0, 1] and never turns the order of two scores around.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
TINY = 1e-12  # a double tells 1 - TINY from 1, and its logit is still finite


class Calibrator(Protocol):
    def apply(self, scores: FloatArray) -> FloatArray:
        """Probabilities, float64, of the shape of `scores`."""
        ...

    def to_json(self) -> dict[str, Any]: ...


def logit(probabilities: FloatArray) -> FloatArray:
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), TINY, 1 - TINY)
    return cast(FloatArray, np.log(clipped) - np.log1p(-clipped))


def sigmoid(logits: FloatArray) -> FloatArray:
    """By tanh, which overflows at neither end."""
    return cast(FloatArray, 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


def softmax(logits: FloatArray) -> FloatArray:
    """Row by row over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return cast(FloatArray, shifted / shifted.sum(axis=-1, keepdims=True))


def temper(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Temperature scaling of rows (Guo et al. 2017): softmax of log p / T."""
    return softmax(np.log(np.clip(probabilities, TINY, 1.0)) / temperature)


@dataclass(frozen=True, kw_only=True)
class Uncalibrated:
    """The score is taken for the probability."""

    kind: ClassVar[str] = "none"

    def apply(self, scores: FloatArray) -> FloatArray:
        return np.asarray(scores, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """sigmoid(logit(score) / temperature), with a temperature above 0."""

    kind: ClassVar[str] = "temperature"
    temperature: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError("a temperature is a finite number above 0")

    def apply(self, scores: FloatArray) -> FloatArray:
        return sigmoid(logit(scores) / self.temperature)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "temperature": self.temperature}


@dataclass(frozen=True, kw_only=True)
class Platt:
    """sigmoid(slope · logit(score) + intercept) (Platt 1999), with a slope of 0 or more."""

    kind: ClassVar[str] = "platt"
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope >= 0):
            raise ValueError("slope and intercept are finite, and the slope is 0 or more")

    def apply(self, scores: FloatArray) -> FloatArray:
        return sigmoid(self.slope * logit(scores) + self.intercept)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """Rising knots; between two of them `linear` or `constant` (the lower knot's probability)."""

    kind: ClassVar[str] = "isotonic"
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    between: Literal["linear", "constant"] = "linear"

    def __post_init__(self) -> None:
        knots, values = np.array(self.scores), np.array(self.probabilities)
        if len(knots) != len(values) or not len(knots):
            raise ValueError("each score has its probability, and there is one knot or more")
        if not (np.isfinite(knots).all() and np.isfinite(values).all()):
            raise ValueError("knots are finite numbers")
        if (np.diff(knots) <= 0).any() or (np.diff(values) < 0).any():
            raise ValueError("scores rise, and probabilities do not fall")
        if values[0] < 0 or values[-1] > 1:
            raise ValueError("probabilities lie in [0, 1]")
        if self.between not in ("linear", "constant"):
            raise ValueError("between two knots it is linear or constant")

    def apply(self, scores: FloatArray) -> FloatArray:
        given = np.asarray(scores, dtype=np.float64)
        if self.between == "linear":
            return np.interp(given, self.scores, self.probabilities)
        places = np.searchsorted(self.scores, given, side="right") - 1
        return np.array(self.probabilities)[np.maximum(places, 0)]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "scores": list(self.scores),
            "probabilities": list(self.probabilities),
            "between": self.between,
        }


def from_json(content: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `to_json` told. Raises ValueError for anything else."""
    given = dict(content)
    kind = given.pop("kind", None)
    try:
        if kind == Isotonic.kind:
            for knots in ("scores", "probabilities"):
                given[knots] = tuple(given[knots])
            return Isotonic(**given)
        if kind in _SIMPLE:
            return _SIMPLE[kind](**given)
    except (TypeError, KeyError) as error:
        raise ValueError(f"these are not the numbers of a {kind} calibrator") from error
    raise ValueError(f"there is no calibrator of kind {kind!r}")


_SIMPLE: dict[str, type[Uncalibrated] | type[Temperature] | type[Platt]] = {
    kind.kind: kind for kind in (Uncalibrated, Temperature, Platt)
}
