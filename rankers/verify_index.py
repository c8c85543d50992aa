"""Nothing is searched before it was verified: whole, of unit vectors, found again, stored well."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from core.embedding import FloatArray
from core.errors import CorruptArtifact, InvalidDocument
from rankers.index import HybridIndex
from rankers.shares import Share, share
from rankers.vector_search import VectorSearch

RECALL_BOUND = 0.95  # at the lower end of the interval
K = 10  # passages beyond the tenth are seldom cited
PROBES = 400  # a mean recall of .972 then has its lower end at .95
PROBE_COSINE = 0.7
UNIT_WITHIN = 1e-3
TIE = 1e-6  # what a batch moves in a cosine
ROUND_TRIPS = 50
_AT_ONCE = 50  # probes compared with every vector: 40 MB at 200,000 vectors


@dataclass(frozen=True, kw_only=True)
class VerifiedIndex:
    """What was measured of an index that may be used."""

    identity: str
    search: str  # flat or graph
    chunks: int
    dimensions: int
    recall: Share  # at K, of its search by meaning against comparing with every vector

    def told(self) -> dict[str, Any]:
        return {**asdict(self), "recall": {"k": K, **self.recall.told()}}


def verify_index(
    index: HybridIndex,
    *,
    queries: FloatArray | None = None,
    bound: float = RECALL_BOUND,
) -> VerifiedIndex:
    """`queries` are vectors of real texts, shape (n, dimensions), asked besides its own probes.

    Raises InvalidDocument for what it was made of, CorruptArtifact for what became of it.
    """
    _require_parts(index)
    _require_units(index.vectors)
    probes = own_probes(index.vectors)
    if queries is not None and len(queries):
        probes = np.concatenate([probes, _fitting(queries, index.vectors.shape[1])])
    recall = measure_recall(index.by_meaning, probes)
    if recall.ci_low < bound:
        raise CorruptArtifact(
            "RUNG-INDEX-RECALL",
            f"the index finds {recall.mean:.1%} of the {K} nearest passages"
            f" [{recall.ci_low:.1%}, {recall.ci_high:.1%}], less than {bound:.0%} for certain",
            way_out="Keep the version before, or build the index with exact search.",
        )
    return VerifiedIndex(
        identity=index.identity,
        search=index.by_meaning.kind,
        chunks=len(index.chunks),
        dimensions=index.vectors.shape[1],
        recall=recall,
    )


def verify_written(index: HybridIndex, written: Mapping[str, bytes]) -> None:
    """`written` are its files as the store gives them back. Raises CorruptArtifact where what is
    read from them would answer otherwise."""
    stored = HybridIndex.from_files(written, fingerprint=index.fingerprint)
    _require_same(index, stored, own_probes(index.vectors))


def own_probes(vectors: FloatArray, *, count: int = PROBES, seed: int = 0) -> FloatArray:
    """Queries near the corpus: vectors of its own, turned to a cosine of PROBE_COSINE.

    The draw depends on the number of vectors and the seed alone.
    """
    source = np.random.default_rng(seed)
    rows = source.integers(0, len(vectors), count)
    turned = source.normal(size=(count, vectors.shape[1]))
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    away = np.sqrt(1 / PROBE_COSINE**2 - 1)
    probes = vectors[rows] + away * turned
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    unit: FloatArray = probes.astype(np.float32)
    return unit


def measure_recall(search: VectorSearch, probes: FloatArray, *, k: int = K) -> Share:
    """Mean share of the k nearest that `search` finds; the probes are the n of its interval.

    What is as near as the k-th counts as found: of equal texts any may be named.
    """
    k = min(k, len(search.vectors))
    found = []
    for start in range(0, len(probes), _AT_ONCE):
        batch = probes[start : start + _AT_ONCE]
        cosines = batch @ search.vectors.T
        least = np.partition(cosines, -k, axis=1)[:, -k] - TIE
        for probe, near, last in zip(batch, cosines, least, strict=True):
            rows = np.unique(search.nearest(probe, k))
            found.append(float((near[rows] >= last).sum() / k))
    return share(found)


def _require_parts(index: HybridIndex) -> None:
    sizes = {
        "chunks": len(index.chunks),
        "vectors": len(index.vectors),
        "texts": len(index.text),
        "titles": len(index.title),
    }
    if len(set(sizes.values())) != 1 or not index.chunks:
        told = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise _broken("RUNG-INDEX-CONTENT", f"the index holds {told}")
    for one, two in pairwise(index.chunks):
        if one.id >= two.id:
            raise _broken("RUNG-INDEX-CONTENT", f"chunk {two.id} stands twice or out of order")


def _require_units(vectors: FloatArray) -> None:
    off = np.abs(np.linalg.norm(vectors, axis=1) - 1)
    wrong = int(np.count_nonzero(~(off <= UNIT_WITHIN)))  # a NaN is not within either
    if wrong:
        raise InvalidDocument(
            "RUNG-INDEX-VECTORS",
            f"{wrong} of {len(vectors)} vectors are not of length 1",
            way_out="Use an embedder of unit vectors, and embed every chunk once.",
        )


def _fitting(queries: FloatArray, dimensions: int) -> FloatArray:
    if queries.ndim != 2 or queries.shape[1] != dimensions or not np.isfinite(queries).all():
        raise InvalidDocument(
            "RUNG-INDEX-VECTORS",
            f"queries of shape {queries.shape} for vectors of {dimensions} dimensions",
            way_out="Embed the queries with the embedder of the index.",
        )
    return queries.astype(np.float32)


def _require_same(index: HybridIndex, stored: HybridIndex, probes: FloatArray) -> None:
    """Words and vectors of the stored index must give what those in memory give."""
    same = (
        stored.identity == index.identity
        and stored.by_meaning.kind == index.by_meaning.kind
        and np.array_equal(stored.vectors, index.vectors)
    )
    places = np.linspace(0, len(index.chunks) - 1, ROUND_TRIPS).astype(int)
    for place, probe in zip(places, probes, strict=False):
        if not same:
            break
        text = index.chunks[place].whole
        one, two = (each.search_vector(text, probe) for each in (index, stored))
        same = all(
            np.array_equal(getattr(one, part), getattr(two, part))
            for part in ("rows", "bm25", "dense")
        )
    if not same:
        raise _broken("RUNG-INDEX-ROUNDTRIP", "the stored index answers otherwise than the built")


def _broken(code: str, why: str) -> CorruptArtifact:
    return CorruptArtifact(code, why, way_out="Build it again from the corpus.")
