"""What is remembered is what would have been computed, and memory stays bounded."""

from collections.abc import Sequence

import numpy as np

from core.embedding import FloatArray
from rankers.memory import RememberingEmbedder
from tests.fakes.hashing_embedder import HashingEmbedder


class Counting(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.batches.append(list(texts))
        return super().encode(texts)


def test_only_new_texts_are_embedded_and_the_order_is_kept() -> None:
    inner = Counting()
    embedder = RememberingEmbedder(inner)
    embedder.encode(["one fee", "two fees"])
    again = embedder.encode(["three fees", "one fee", "three fees"])
    assert inner.batches == [["one fee", "two fees"], ["three fees"]]
    plain = HashingEmbedder().encode(["three fees", "one fee", "three fees"])
    np.testing.assert_array_equal(again, plain)
    assert embedder.fingerprint == inner.fingerprint


def test_the_oldest_are_forgotten() -> None:
    inner = Counting()
    embedder = RememberingEmbedder(inner, most=2)
    for text in ("a fee", "b fee", "a fee", "c fee", "a fee", "b fee"):
        embedder.encode([text])
    assert inner.batches == [["a fee"], ["b fee"], ["c fee"], ["b fee"]]
