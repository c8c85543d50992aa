"""The real MiniLM: whose space its vectors are in, and that neither order nor odd texts matter."""

import random

import numpy as np
import pytest

from rankers.torch_embedder import DIMENSIONS, TorchEmbedder

TEXTS = [f"question {n} about " + "a lost card and its fee " * (n % 7) for n in range(150)]


@pytest.fixture
def embedder(minilm: TorchEmbedder) -> TorchEmbedder:
    return minilm


def test_the_fingerprint_names_model_space_and_files(embedder: TorchEmbedder) -> None:
    name, dimensions, norm, digest = embedder.fingerprint.split("/")
    assert (name, dimensions, norm) == ("all-MiniLM-L6-v2", "384", "unit")
    assert len(digest) == 16 and int(digest, 16)
    assert embedder.fingerprint == embedder.fingerprint


def test_the_order_of_the_texts_has_no_say_to_the_last_bit(embedder: TorchEmbedder) -> None:
    order = list(range(len(TEXTS)))
    random.Random(0).shuffle(order)
    vectors = embedder.encode(TEXTS)
    shuffled = embedder.encode([TEXTS[row] for row in order])
    np.testing.assert_array_equal(shuffled, vectors[order])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors, axis=0)) == len(set(TEXTS))


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "é" * 5000])
def test_any_text_has_a_finite_unit_vector(embedder: TorchEmbedder, text: str) -> None:
    (vector,) = embedder.encode([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_vectors(embedder: TorchEmbedder) -> None:
    assert embedder.encode([]).shape == (0, DIMENSIONS)
