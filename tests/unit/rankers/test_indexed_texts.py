"""The texts of a stored index are those that its vectors were kept by."""

from pathlib import Path

import pytest

from core.artifacts import ArtifactStore
from core.embedding import text_digest
from core.errors import CorruptArtifact
from rankers.corpora import build_index, chunks_of, put_index
from rankers.documents import Document
from rankers.indexed_texts import INDEX, indexed_texts
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.vector_cache import MemoryVectors


def test_texts_are_told_without_those_of_hidden_documents(tmp_path: Path) -> None:
    artifacts, embedder = ArtifactStore(tmp_path), HashingEmbedder()
    chunks = chunks_of(Document(id=name, title=name, text="some text") for name in ("a", "b"))
    artifact = put_index(artifacts, "acme", build_index(chunks, embedder, MemoryVectors()))
    whole = indexed_texts(artifacts, "acme", artifact)
    assert whole.fingerprint == embedder.fingerprint
    assert whole.digests == {text_digest(chunk.whole) for chunk in chunks}
    shown = indexed_texts(artifacts, "acme", artifact, hidden={"b"})
    assert shown.digests == {text_digest("a some text")}


@pytest.mark.parametrize("content", [b"[]", b"{}", b"no json", b'{"chunks": [{}]}'])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    artifacts = ArtifactStore(tmp_path)
    artifact = artifacts.put("acme", INDEX, {"index.json": content})
    with pytest.raises(CorruptArtifact) as caught:
        indexed_texts(artifacts, "acme", artifact)
    assert caught.value.code == "RUNG-INDEX-CONTENT"
