"""A text in, its passages out: ranked, explained, and with the chance that they answer it."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.contracts import Passage
from core.embedding import TextEmbedder
from rankers.features import feature_matrix
from rankers.index import HybridIndex
from rankers.quality import QualityScorer
from rankers.ranker import Ranker, load_ranker, rank


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
    ) -> None:
        """Raises InvalidDocument where the index holds another embedder's vectors."""
        index.require(embedder.fingerprint)
        self.index = index
        self.ranker = ranker
        self.quality = quality
        self._embedder = embedder

    def retrieve(self, text: str, k: int = 5) -> RetrievalResult:
        """At most `k` passages; at least one, as an index is never empty."""
        found = self.index.search(text, self._embedder)
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
