"""How probably a ranked list holds the answer, judged without asking a model that writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.calibration import Calibrator, Uncalibrated, from_json, sigmoid
from core.embedding import FloatArray
from core.errors import CorruptArtifact
from rankers.features import FEATURES
from rankers.ranker import Ranked

CITED = 3  # passages that an answer may rest on

QUALITY_FEATURES = (
    "score",  # of the first passage
    "score_margin",  # over the second
    "score_lead",  # of the first CITED over the next
    "cosine",  # of the first
    "cosine_best",  # among the first CITED
    "coverage",  # idf-weighted share of the query's words that the first has
    "coverage_best",
    "agreement",  # mean reciprocal rank of the first in both searches
    "log_query_length",
)

_COLUMN = {name: place for place, name in enumerate(FEATURES)}


def quality_features(ranked: Ranked) -> FloatArray:
    """Shape (len(QUALITY_FEATURES),). There is one passage or more."""
    first, cited, scores = ranked.matrix[0], ranked.matrix[:CITED], ranked.scores
    last = float(scores[-1])  # a list that ends early has nothing behind it
    second = float(scores[1]) if len(scores) > 1 else last
    next_after = float(scores[CITED]) if len(scores) > CITED else last
    values = {
        "score": scores[0],
        "score_margin": scores[0] - second,
        "score_lead": scores[min(CITED, len(scores)) - 1] - next_after,
        "cosine": first[_COLUMN["dense"]],
        "cosine_best": cited[:, _COLUMN["dense"]].max(),
        "coverage": first[_COLUMN["coverage"]],
        "coverage_best": cited[:, _COLUMN["coverage"]].max(),
        "agreement": (
            first[_COLUMN["bm25_reciprocal_rank"]] + first[_COLUMN["dense_reciprocal_rank"]]
        )
        / 2,
        "log_query_length": np.log1p(first[_COLUMN["query_length"]]),
    }
    return np.array([float(values[name]) for name in QUALITY_FEATURES])


@dataclass(frozen=True, kw_only=True)
class QualityHead:
    """A logistic regression over the standardised features, then a calibrator."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    calibrator: Calibrator

    def raw(self, rows: FloatArray) -> FloatArray:
        """Shape (n,) for rows of shape (n, features)."""
        standard = (rows - np.array(self.mean)) / np.array(self.scale)
        return sigmoid(standard @ np.array(self.weights) + self.intercept)

    def probability(self, rows: FloatArray) -> FloatArray:
        return self.calibrator.apply(self.raw(rows))

    @classmethod
    def constant(cls, probability: float) -> "QualityHead":
        """Says the same of every list: all that can be said where the labels do not differ."""
        zeros = (0.0,) * len(QUALITY_FEATURES)
        logit = float(np.log(probability / (1 - probability)))
        ones = (1.0,) * len(QUALITY_FEATURES)
        return cls(
            mean=zeros, scale=ones, weights=zeros, intercept=logit, calibrator=Uncalibrated()
        )


@dataclass(frozen=True, kw_only=True)
class QualityScorer:
    first: QualityHead  # is the first passage right?
    cited: QualityHead  # is one of the first CITED right?

    def probabilities(self, ranked: Ranked) -> tuple[float, float]:
        """That the first passage answers, and that one of the first CITED does (never less)."""
        row = quality_features(ranked)[None]
        first = float(self.first.probability(row)[0])
        return first, max(first, float(self.cited.probability(row)[0]))

    def to_files(self) -> dict[str, bytes]:
        heads = {"first": _told(self.first), "cited": _told(self.cited)}
        content = {"features": QUALITY_FEATURES, **heads}
        return {"quality.json": json.dumps(content, sort_keys=True).encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "QualityScorer":
        """Raises CorruptArtifact where the files are no scorer of these features."""
        try:
            content = json.loads(files["quality.json"])
            if tuple(content["features"]) != QUALITY_FEATURES:
                raise ValueError("fitted on other features")
            return cls(first=_head(content["first"]), cited=_head(content["cited"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(
                "RUNG-QUALITY-CONTENT",
                f"the stored quality scorer cannot be used ({error.__class__.__name__}: {error})",
                way_out="Fit it again.",
            ) from error


def _told(head: QualityHead) -> dict[str, object]:
    return {
        "mean": head.mean,
        "scale": head.scale,
        "weights": head.weights,
        "intercept": head.intercept,
        "calibrator": head.calibrator.to_json(),
    }


def _head(content: Mapping[str, object]) -> QualityHead:
    given = dict(content)
    arrays = {name: np.array(given[name], dtype=float) for name in ("mean", "scale", "weights")}
    numbers = [*arrays.values(), np.array(given["intercept"], dtype=float)]
    if any(array.shape != (len(QUALITY_FEATURES),) for array in arrays.values()) or not all(
        np.isfinite(array).all() for array in numbers
    ):
        raise ValueError("one finite number for each feature")
    calibrator = given["calibrator"]
    if not isinstance(calibrator, Mapping):
        raise ValueError("a calibrator is an object")
    return QualityHead(
        **{name: tuple(map(float, array)) for name, array in arrays.items()},
        intercept=float(numbers[-1]),
        calibrator=from_json(calibrator),
    )
