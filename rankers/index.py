"""A corpus that is searched by words and by meaning at once, and knows whose vectors it holds."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from core.embedding import FloatArray, TextEmbedder
from core.errors import CorruptArtifact, InvalidDocument
from rankers.documents import Chunk
from rankers.terms import IntArray, TermIndex, highest
from rankers.vector_search import FlatSearch, VectorSearch, read_search, search_over
from rankers.words import VERSION as WORDS_VERSION
from rankers.words import words

DEPTH = 100  # of each list; SciFact's best ranker finds 97 % of the right documents within it
EMBED_AT_ONCE = 512  # between two progress reports: some four seconds on two cores

# Batching moves the last bits of a vector by 2e-7: beyond six places a cosine says nothing, and
# two chunks of the same text must tie.
COSINE_PLACES = 6


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What both searches found for one text, in the order of the chunks' ids."""

    text: str
    words: tuple[str, ...]
    rows: IntArray  # places in the index, ascending
    bm25: FloatArray  # of every row, found by words or not
    dense: FloatArray  # cosine of every row, found by meaning or not

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class HybridIndex:
    """Vectors and BM25 over the same chunks; immutable, so swapped whole."""

    chunks: tuple[Chunk, ...]
    fingerprint: str  # of the embedder
    chunker: str
    by_meaning: VectorSearch
    text: TermIndex  # title and text
    title: TermIndex

    @classmethod
    def build(
        cls,
        chunks: Sequence[Chunk],
        embedder: TextEmbedder,
        *,
        chunker: str = "",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "HybridIndex":
        """`progress` gets the number of chunks embedded so far, and of all."""
        ordered = _ordered(chunks)
        parts = []
        for start in range(0, len(ordered), EMBED_AT_ONCE):
            batch = ordered[start : start + EMBED_AT_ONCE]
            parts.append(embedder.encode([chunk.whole for chunk in batch]))
            progress(start + len(batch), len(ordered))
        return cls.from_vectors(
            ordered, np.concatenate(parts), fingerprint=embedder.fingerprint, chunker=chunker
        )

    @classmethod
    def from_vectors(
        cls,
        chunks: Sequence[Chunk],
        vectors: FloatArray,
        *,
        fingerprint: str,
        chunker: str = "",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> "HybridIndex":
        """From vectors made elsewhere, row i for `chunks[i]`. Raises InvalidDocument.

        `progress` gets the number of chunks that can be searched by meaning so far, and of all.
        """
        ordered = _ordered(chunks)
        fits = vectors.ndim == 2 and len(vectors) == len(chunks) and vectors.shape[1] > 0
        if not fits or not np.isfinite(vectors).all():
            raise InvalidDocument(
                "RUNG-INDEX-VECTORS",
                f"{len(chunks)} chunks came with vectors of shape {vectors.shape}",
                way_out="Embed every chunk once, and keep the vectors finite.",
            )
        place = {chunk.id: row for row, chunk in enumerate(chunks)}
        return cls(
            chunks=ordered,
            fingerprint=fingerprint,
            chunker=chunker,
            by_meaning=search_over(
                vectors[[place[chunk.id] for chunk in ordered]], progress=progress
            ),
            text=TermIndex.build([words(chunk.whole) for chunk in ordered]),
            title=TermIndex.build([words(chunk.title) for chunk in ordered]),
        )

    @property
    def vectors(self) -> FloatArray:
        """Of every chunk, shape (n, dimensions), read-only."""
        return self.by_meaning.vectors

    def exact(self) -> "HybridIndex":
        """The same index, which compares a text with every vector however many there are."""
        return replace(self, by_meaning=FlatSearch.over(self.vectors))

    @cached_property
    def identity(self) -> str:
        """Digest of what was indexed and how.

        Never of the vectors' own bytes, which vary with the batch, nor of how they are searched.
        """
        digest = hashlib.sha256(f"{self.fingerprint}\n{self.chunker}\n{WORDS_VERSION}\n".encode())
        for chunk in self.chunks:
            digest.update(f"{chunk.id}\0{chunk.digest}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def search(self, text: str, embedder: TextEmbedder, *, depth: int = DEPTH) -> Candidates:
        """The first `depth` of each list together. Raises InvalidDocument for another embedder."""
        self.require(embedder.fingerprint)
        return self.search_vector(text, embedder.encode([text])[0], depth=depth)

    def search_vector(self, text: str, vector: FloatArray, *, depth: int = DEPTH) -> Candidates:
        """As `search`, with the text's vector from the embedder whose fingerprint this holds."""
        query = words(text)
        bm25 = self.text.scores(query)
        rows = np.union1d(highest(bm25, depth), self.by_meaning.nearest(vector, depth))
        dense = np.round(self.vectors[rows].astype(np.float64) @ vector, COSINE_PLACES)
        return Candidates(
            text=text,
            words=tuple(query),
            rows=rows,
            bm25=bm25[rows].astype(np.float64),
            dense=dense,
        )

    def require(self, fingerprint: str) -> None:
        """Raises InvalidDocument where vectors of another space would be compared with these."""
        if fingerprint != self.fingerprint:
            raise InvalidDocument(
                "RUNG-INDEX-EMBEDDER",
                f"the index holds vectors of {self.fingerprint}, the embedder is {fingerprint}",
                way_out="Embed the corpus again, or use the embedder of the index.",
            )

    def to_files(self) -> dict[str, bytes]:
        about = {
            "fingerprint": self.fingerprint,
            "chunker": self.chunker,
            "words": WORDS_VERSION,
            "identity": self.identity,
            "search": self.by_meaning.kind,
            "chunks": [asdict(chunk) for chunk in self.chunks],
        }
        return {
            "index.json": json.dumps(about, sort_keys=True).encode(),
            **self.by_meaning.to_files(),
            **self.text.to_files("text"),
            **self.title.to_files("title"),
        }

    @classmethod
    def from_files(
        cls, files: Mapping[str, bytes], *, fingerprint: str | None = None
    ) -> "HybridIndex":
        """Raises CorruptArtifact for no index, InvalidDocument for one not of `fingerprint`."""
        try:
            about = json.loads(files["index.json"])
            index = cls(
                chunks=_ordered(_stored_chunks(about["chunks"])),
                fingerprint=_text(about["fingerprint"]),
                chunker=_text(about["chunker"]),
                # Indexes of before there was a graph do not say it.
                by_meaning=read_search(files, about.get("search", FlatSearch.kind)),
                text=TermIndex.from_files(files, "text"),
                title=TermIndex.from_files(files, "title"),
            )
            parts = (index.chunks, index.vectors, index.text, index.title)
            belong = len({len(part) for part in parts}) == 1 and index.identity == about["identity"]
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise _corrupt(error.__class__.__name__) from error
        except InvalidDocument as error:
            raise _corrupt(error.message) from error
        if not belong:
            raise _corrupt("its parts do not belong together, or another version cut its words")
        if fingerprint is not None:
            index.require(fingerprint)
        return index


def _ordered(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    ordered = tuple(sorted(chunks, key=lambda chunk: chunk.id))
    if not ordered:
        raise InvalidDocument(
            "RUNG-CORPUS-EMPTY", "there is no text to index", way_out="Add a document."
        )
    for one, two in pairwise(ordered):
        if one.id == two.id:
            raise InvalidDocument(
                "RUNG-CORPUS-DUPLICATE",
                f"two chunks have the id {one.id}",
                way_out="Give every document an id of its own.",
            )
    return ordered


def _stored_chunks(content: Sequence[Mapping[str, Any]]) -> list[Chunk]:
    return [Chunk(**{name: _text(value) for name, value in one.items()}) for one in content]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _corrupt(why: str) -> CorruptArtifact:
    return CorruptArtifact(
        "RUNG-INDEX-CONTENT",
        f"the stored index cannot be used ({why})",
        way_out="Build it again from the corpus.",
    )
