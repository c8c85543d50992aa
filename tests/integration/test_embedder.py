"""The real MiniLM out of its wheel: shape, unit length, and that near meanings are near."""

import numpy as np

from rankers.torch_embedder import TorchEmbedder


def test_minilm_embeds_meaning() -> None:
    vectors = TorchEmbedder().encode(["I lost my card", "my card is missing", "the sun is hot"])
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
