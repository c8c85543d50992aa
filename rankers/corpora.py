"""A corpus as an index: cut, embedded once, indexed, verified, stored, and compared."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from core.artifacts import ArtifactStore
from core.embedding import FloatArray, TextEmbedder, VectorCache
from core.errors import CorruptArtifact
from rankers.compare_indexes import Probe, compare_indexes
from rankers.documents import Chunk, Document, ParagraphChunker, cut
from rankers.embed_new import embed_new
from rankers.index import HybridIndex
from rankers.indexed_texts import INDEX
from rankers.verify_index import verify_index, verify_written

CHUNKER = ParagraphChunker()
PROBES = 200  # texts that both of two indexes hold, asked of each
Progress = Callable[[int, int], None]


class Written(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...


def chunks_of(documents: Iterable[Written]) -> tuple[Chunk, ...]:
    """By id; the same for the same documents, in whatever order they come."""
    given = (Document(id=one.id, title=one.title, text=one.text) for one in documents)
    return cut(given, CHUNKER)


def embed_chunks(
    chunks: Sequence[Chunk],
    embedder: TextEmbedder,
    cache: VectorCache,
    *,
    progress: Progress = lambda done, total: None,
) -> FloatArray:
    """Row i for `chunks[i]`; what the cache lacks is embedded and kept, batch by batch."""
    return embed_new([chunk.whole for chunk in chunks], embedder, cache, progress)


def build_index(
    chunks: Sequence[Chunk],
    embedder: TextEmbedder,
    cache: VectorCache,
    *,
    progress: Progress = lambda done, total: None,
) -> HybridIndex:
    """Raises InvalidDocument where there is no chunk.

    `progress` gets one count that only grows: distinct texts that have a vector, then chunks that
    can be searched by it; and the sum of all texts and all chunks. What it raises ends the build.
    """
    texts = len({chunk.whole for chunk in chunks})
    every = texts + len(chunks)
    vectors = embed_chunks(chunks, embedder, cache, progress=lambda done, _: progress(done, every))
    index = HybridIndex.from_vectors(
        chunks,
        vectors,
        fingerprint=embedder.fingerprint,
        chunker=CHUNKER.name,
        progress=lambda done, _: progress(texts + done, every),
    )
    progress(every, every)  # again: with a million chunks their words took some minutes
    return index


def verified(index: HybridIndex) -> tuple[HybridIndex, dict[str, Any]]:
    """The index as it may be used, and what was measured of it. Raises CorruptArtifact.

    Where its graph does not find enough, it compares with every vector: slower, and right.
    """
    try:
        return index, verify_index(index).told()
    except CorruptArtifact as error:
        if error.code != "RUNG-INDEX-RECALL":
            raise
        exact = index.exact()
        return exact, {**verify_index(exact).told(), "instead_of_graph": error.message}


def compared(old: HybridIndex, new: HybridIndex) -> dict[str, Any] | None:
    """By texts that both hold, each with the vectors that the two were built from; None where
    they have none in common."""
    places = {chunk.whole: row for row, chunk in enumerate(old.chunks)}
    pairs = {
        chunk.whole: (places[chunk.whole], row)
        for row, chunk in enumerate(new.chunks)
        if chunk.whole in places
    }
    # By digest: drawn alike whatever else the corpus holds, and not the first by name.
    texts = sorted(
        pairs, key=lambda text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    )[:PROBES]
    probes = [
        Probe(text=text, old=old.vectors[pairs[text][0]], new=new.vectors[pairs[text][1]])
        for text in texts
    ]
    return compare_indexes(old, new, probes).told() if probes else None


def put_verified(
    artifacts: ArtifactStore, tenant_id: str, built: HybridIndex
) -> tuple[str, HybridIndex, dict[str, Any]]:
    """The artifact, the index as it is searched, and what was measured. Verified before it is
    stored and as it is read back. Raises CorruptArtifact."""
    index, told = verified(built)
    artifact = put_index(artifacts, tenant_id, index)
    verify_written(index, artifacts.get(tenant_id, artifact, INDEX).files)
    return artifact, index, told


def put_index(artifacts: ArtifactStore, tenant_id: str, index: HybridIndex) -> str:
    return artifacts.put(tenant_id, INDEX, index.to_files(), {"identity": index.identity})


def load_index(
    artifacts: ArtifactStore,
    tenant_id: str,
    artifact_id: str,
    *,
    fingerprint: str | None = None,
) -> HybridIndex:
    """Raises NotFound, CorruptArtifact and, for vectors of another embedder, InvalidDocument."""
    files: Mapping[str, bytes] = artifacts.get(tenant_id, artifact_id, INDEX).files
    return HybridIndex.from_files(files, fingerprint=fingerprint)


def holds(index: HybridIndex, chunks: Sequence[Chunk]) -> bool:
    """Whether it is what these chunks would be built into."""
    return index.chunker == CHUNKER.name and index.chunks == tuple(chunks)
