"""The index builder of production: documents and index are artifacts, the embedder loads once."""

from collections.abc import Callable
from functools import cached_property

from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder


class ArtifactIndexBuilder:
    def __init__(self, artifacts: ArtifactStore, embedder: Callable[[], TextEmbedder]) -> None:
        self._artifacts = artifacts
        self._open_embedder = embedder

    def build(self, *, tenant_id: str, documents: str) -> str:
        from rankers.corpora import build_index  # FAISS, at the first job and not before

        return build_index(self._artifacts, tenant_id, documents, self._embedder)[0]

    @cached_property
    def _embedder(self) -> TextEmbedder:
        return self._open_embedder()
