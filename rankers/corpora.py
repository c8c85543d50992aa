"""Documents and indexes as artifacts: built from exact texts, found again by what they were."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder
from core.errors import CorruptArtifact, InvalidDocument, NotFound
from rankers.documents import Document, ParagraphChunker, cut
from rankers.index import HybridIndex

DOCUMENTS = "documents"
INDEX = "index"


def put_documents(artifacts: ArtifactStore, tenant_id: str, documents: Sequence[Document]) -> str:
    """The same documents give the same id, in whatever order they come."""
    content = [asdict(document) for document in sorted(documents, key=lambda d: d.id)]
    files = {"documents.json": json.dumps(content, sort_keys=True).encode()}
    return artifacts.put(tenant_id, DOCUMENTS, files)


def build_index(
    artifacts: ArtifactStore,
    tenant_id: str,
    documents: str,
    embedder: TextEmbedder,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[str, HybridIndex]:
    """Embeds and indexes the artifact `documents`; the index artifact's id, and the index."""
    content = json.loads(artifacts.get(tenant_id, documents, DOCUMENTS).files["documents.json"])
    chunker = ParagraphChunker()
    chunks = cut((Document(**document) for document in content), chunker)
    index = HybridIndex.build(chunks, embedder, chunker=chunker.name, progress=progress)
    meta = {"documents": documents, "identity": index.identity}
    return artifacts.put(tenant_id, INDEX, index.to_files(), meta), index


def load_index(
    artifacts: ArtifactStore,
    tenant_id: str,
    artifact_id: str,
    embedder: TextEmbedder,
    *,
    documents: str | None = None,
) -> HybridIndex | None:
    """None where it cannot be used: lost, of other `documents`, embedder or version."""
    try:
        artifact = artifacts.get(tenant_id, artifact_id, INDEX)
        if documents is not None and artifact.meta["documents"] != documents:
            return None
        index = HybridIndex.from_files(artifact.files)
    except (CorruptArtifact, InvalidDocument, NotFound):
        return None  # lost, or its words were cut by an earlier version: to be built again
    return index if index.fingerprint == embedder.fingerprint else None
