"""Which texts a stored index holds, read without its vectors and postings, and without FAISS."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from core.artifacts import ArtifactStore
from core.embedding import text_digest
from core.errors import CorruptArtifact
from rankers.documents import Chunk

INDEX = "index"
ABOUT = "index.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedTexts:
    fingerprint: str  # of the embedder
    digests: frozenset[str]  # as vectors are remembered by


def indexed_texts(
    artifacts: ArtifactStore,
    tenant_id: str,
    artifact_id: str,
    *,
    hidden: Collection[str] = (),
) -> IndexedTexts:
    """But those of the documents that are `hidden`. Raises NotFound and CorruptArtifact."""
    files = artifacts.get(tenant_id, artifact_id, INDEX, only={ABOUT}).files
    try:
        about = json.loads(files[ABOUT])
        chunks = (Chunk(**one) for one in about["chunks"])
        shown = (chunk.whole for chunk in chunks if chunk.document not in hidden)
        return IndexedTexts(
            fingerprint=str(about["fingerprint"]), digests=frozenset(map(text_digest, shown))
        )
    except (LookupError, TypeError, ValueError) as error:
        raise CorruptArtifact(
            "RUNG-INDEX-CONTENT",
            f"the stored index cannot be used ({type(error).__name__})",
            way_out="Build it again from the corpus.",
        ) from error
