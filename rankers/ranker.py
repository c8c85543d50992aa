"""Orders the candidates of one text, and splits every score into what each feature gave to it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import lightgbm as lgb
import numpy as np

from core.embedding import FloatArray
from core.errors import CorruptArtifact
from rankers.features import FEATURES, VERSION
from rankers.index import HybridIndex
from rankers.terms import IntArray

_BM25, _DENSE = FEATURES.index("bm25_scaled"), FEATURES.index("dense_scaled")
BASE = "base"  # the part of a learned score that no feature moves


class Ranker(Protocol):
    """Works on matrices of `feature_matrix`; a higher score is a better candidate."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def score(self, matrix: FloatArray) -> FloatArray:
        """Shape (candidates,)."""
        ...

    def attribute(self, matrix: FloatArray) -> list[dict[str, float]]:
        """For each candidate the parts that sum to its score."""
        ...

    def to_files(self) -> dict[str, bytes]: ...


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The best candidate of every document, best first, with what was seen of it."""

    rows: IntArray  # places in the index
    scores: FloatArray
    matrix: FloatArray  # (documents, features)


def rank(index: HybridIndex, rows: IntArray, scores: FloatArray, matrix: FloatArray) -> Ranked:
    """Equal scores go by the chunk's id: `rows` rise, and with them the ids."""
    order = np.argsort(-scores, kind="stable")
    seen: set[str] = set()
    kept = []
    for place in order:
        document = index.chunks[rows[place]].document
        if document not in seen:
            seen.add(document)
            kept.append(int(place))
    return Ranked(rows=rows[kept], scores=scores[kept], matrix=matrix[kept])


@dataclass(frozen=True, kw_only=True)
class HybridRanker:
    """The untrained fusion. `weight` is the share of the dense score, 0 to 1."""

    name: ClassVar[str] = "hybrid"
    weight: float = 0.5

    @property
    def version(self) -> str:
        return f"{self.name}+{self.weight:g}"

    def score(self, matrix: FloatArray) -> FloatArray:
        fused: FloatArray = self.weight * matrix[:, _DENSE] + (1 - self.weight) * matrix[:, _BM25]
        return fused

    def attribute(self, matrix: FloatArray) -> list[dict[str, float]]:
        return [
            {
                "bm25_scaled": float((1 - self.weight) * row[_BM25]),
                "dense_scaled": float(self.weight * row[_DENSE]),
            }
            for row in matrix
        ]

    def to_files(self) -> dict[str, bytes]:
        return {"ranker.json": _json({"kind": self.name, "weight": self.weight})}


@dataclass(frozen=True, kw_only=True)
class LambdaRanker:
    """The mean of LightGBM boosters that differ in their seed, each kept as LightGBM's text."""

    name: ClassVar[str] = "learned"
    texts: tuple[str, ...]

    @classmethod
    def of(cls, boosters: Sequence[lgb.Booster]) -> "LambdaRanker":
        return cls(texts=tuple(booster.model_to_string() for booster in boosters))

    @cached_property
    def version(self) -> str:
        digest = hashlib.sha256("\n".join(self.texts).encode()).hexdigest()
        return f"{self.name}+{digest[:12]}"

    def score(self, matrix: FloatArray) -> FloatArray:
        return mean_score(self._boosters, matrix)

    def attribute(self, matrix: FloatArray) -> list[dict[str, float]]:
        """Shapley values of the trees (Lundberg et al. 2018), and their base."""
        if not len(matrix):
            return []
        each = [
            np.asarray(b.predict(matrix, pred_contrib=True, num_threads=1)) for b in self._boosters
        ]
        parts = np.mean(each, axis=0)
        names = (*FEATURES, BASE)
        return [dict(zip(names, map(float, row), strict=True)) for row in parts]

    def to_files(self) -> dict[str, bytes]:
        about = {
            "kind": self.name,
            "features": VERSION,
            "boosters": len(self.texts),
        }
        texts = {f"booster-{n}.txt": text.encode() for n, text in enumerate(self.texts)}
        return {"ranker.json": _json(about), **texts}

    @cached_property
    def _boosters(self) -> list[lgb.Booster]:
        return [lgb.Booster(model_str=text) for text in self.texts]


def mean_score(
    boosters: Sequence[lgb.Booster],
    matrix: FloatArray,
    *,
    rounds: int | None = None,
) -> FloatArray:
    """Mean of all boosters, by their first `rounds` trees where that is given."""
    if not len(matrix):  # LightGBM divides by the number of rows
        return np.zeros(0)
    # One thread: a few hundred rows take longer to share out than to score.
    each = [b.predict(matrix, num_iteration=rounds, num_threads=1) for b in boosters]
    trees: FloatArray = np.mean([np.asarray(scores) for scores in each], axis=0)
    return trees


def load_ranker(files: Mapping[str, bytes]) -> Ranker:
    """What `to_files` of any ranker told. Raises CorruptArtifact for anything else."""
    try:
        about = json.loads(files["ranker.json"])
        if about["kind"] == HybridRanker.name:
            return HybridRanker(weight=float(about["weight"]))
        if about["kind"] != LambdaRanker.name or about["features"] != VERSION:
            raise ValueError("of another kind, or fitted on other features")
        texts = [files[f"booster-{n}.txt"].decode() for n in range(about["boosters"])]
        ranker = LambdaRanker(texts=tuple(texts))
        ranker.score(np.zeros((1, len(FEATURES))))
    except (KeyError, TypeError, ValueError, lgb.basic.LightGBMError) as error:
        raise CorruptArtifact(
            "RUNG-RANKER-CONTENT",
            f"the stored ranker cannot be used ({error.__class__.__name__}: {error})",
            way_out="Fit it again.",
        ) from error
    return ranker


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
