"""Vectors of many texts: only what no earlier run has kept is embedded; a killed run resumes."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from core.embedding import FloatArray, TextEmbedder, VectorCache, text_digest

# Between two commits: a few seconds of work on two cores, which is what a killed run loses.
CHARACTERS_AT_ONCE = 65_536
MOST_READ = 1_200  # the embedder cuts a text at 256 word pieces, so a longer one is no more work
LEAST_READ = 16  # the marks around a text are work too


def embed_new(
    texts: Sequence[str],
    embedder: TextEmbedder,
    cache: VectorCache,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FloatArray:
    """Unit vectors, shape (n texts, dimensions), row i for `texts[i]`.

    A distinct text is embedded once, if at all, and its vector is kept as soon as its batch is
    done. Which texts share a batch is settled by the set of the new ones, not by their order.
    `progress` gets the number of distinct texts that have a vector, and of all.
    """
    if not texts:
        return embedder.encode([])
    digests = [text_digest(text) for text in texts]
    distinct = dict(zip(digests, texts, strict=True))
    found = dict(cache.known(embedder.fingerprint, list(distinct)))
    progress(len(found), len(distinct))
    new = {text: digest for digest, text in distinct.items() if digest not in found}
    for batch in _batches(new):
        vectors = embedder.encode(batch)
        made = {new[text]: vector for text, vector in zip(batch, vectors, strict=True)}
        cache.keep(embedder.fingerprint, made)
        found |= made
        progress(len(found), len(distinct))
    return np.stack([found[digest] for digest in digests]).astype(np.float32, copy=False)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Longest first, so that the most memory is asked for at the start and not after an hour."""
    batch: list[str] = []
    size = 0
    for text in sorted(texts, key=lambda text: (-len(text), text)):
        batch.append(text)
        size += max(LEAST_READ, min(MOST_READ, len(text)))
        if size >= CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
