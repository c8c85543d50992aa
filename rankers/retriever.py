"""A text in, its passages out: ranked, explained, and with the chance that they answer it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from core.contracts import Passage
from core.embedding import TextEmbedder
from rankers.features import feature_matrix
from rankers.index import DEPTH, Candidates, HybridIndex
from rankers.quality import QualityScorer
from rankers.ranker import Ranker, load_ranker, rank
from rankers.terms import highest

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RetrievalResult:
    passages: tuple[Passage, ...]  # of different documents, best first
    quality: float  # that the first passage answers
    quality_any: float  # that one of the first three does


class Retriever:
    """Safe to share between threads; a new index means a new retriever."""

    def __init__(
        self,
        *,
        index: HybridIndex,
        embedder: TextEmbedder,
        ranker: Ranker,
        quality: QualityScorer,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        """`hidden` are documents that are no answer any more, though the index still holds them.

        Raises InvalidDocument where the index holds another embedder's vectors.
        """
        index.require(embedder.fingerprint)
        self.index = index
        self.ranker = ranker
        self.quality = quality
        self.hidden = hidden
        self._embedder = embedder
        self._seen = _seen(index, hidden)

    @property
    def version(self) -> str:
        """Of what is searched, words and vectors alike."""
        return self.index.identity[:12]

    def over(self, index: HybridIndex, hidden: frozenset[str]) -> "Retriever":
        """The same ranking of another version of the index."""
        return Retriever(
            index=index,
            embedder=self._embedder,
            ranker=self.ranker,
            quality=self.quality,
            hidden=hidden,
        )

    def retrieve(self, text: str, k: int = 5) -> RetrievalResult:
        """At most `k` passages; none only where every document is hidden."""
        found = self._search(text)
        if not len(found):
            return RetrievalResult(passages=(), quality=0.0, quality_any=0.0)
        matrix = feature_matrix(self.index, found)
        ranked = rank(self.index, found.rows, self.ranker.score(matrix), matrix)
        first, cited = self.quality.probabilities(ranked)
        parts = self.ranker.attribute(ranked.matrix[:k])
        passages = []
        for row, score, attribution in zip(ranked.rows[:k], ranked.scores[:k], parts, strict=True):
            chunk = self.index.chunks[row]
            passages.append(
                Passage(
                    document=chunk.document,
                    title=chunk.title,
                    text=chunk.text,
                    score=float(score),
                    attribution=attribution,
                )
            )
        return RetrievalResult(passages=tuple(passages), quality=first, quality_any=cited)

    def _search(self, text: str) -> Candidates:
        """As much deeper as there are hidden chunks, which cannot crowd out what is to be seen.

        Of what is seen the first DEPTH of each list are kept, as if the rest had not been there:
        to rank thousands is slow, and scales their features otherwise than the ranker learned.
        """
        if self._seen is None:
            return self.index.search(text, self._embedder)
        depth = DEPTH + int(np.count_nonzero(~self._seen))
        found = self.index.search(text, self._embedder, depth=depth)
        seen = np.flatnonzero(self._seen[found.rows])
        near = np.argsort(-found.dense[seen], kind="stable")[:DEPTH]
        kept = seen[np.union1d(highest(found.bm25[seen], DEPTH), near)]
        return replace(found, rows=found.rows[kept], bm25=found.bm25[kept], dense=found.dense[kept])

    def to_files(self) -> dict[str, bytes]:
        """The ranker and the quality scorer; an index is an artifact of its own."""
        return {**self.ranker.to_files(), **self.quality.to_files()}

    @classmethod
    def from_files(
        cls, files: Mapping[str, bytes], *, index: HybridIndex, embedder: TextEmbedder
    ) -> "Retriever":
        """Raises CorruptArtifact, and InvalidDocument for an index of another embedder."""
        return cls(
            index=index,
            embedder=embedder,
            ranker=load_ranker(files),
            quality=QualityScorer.from_files(files),
        )


def _seen(index: HybridIndex, hidden: frozenset[str]) -> BoolArray | None:
    """For each chunk whether it may be found; None where nothing of the index is hidden."""
    seen = np.array([chunk.document not in hidden for chunk in index.chunks]) if hidden else None
    return None if seen is None or seen.all() else seen
