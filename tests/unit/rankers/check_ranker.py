"""What every ranker promises, run over each of them."""

import numpy as np

from rankers.features import FEATURES
from rankers.ranker import Ranker, load_ranker


def check_ranker(ranker: Ranker, matrix: np.ndarray) -> None:
    """`matrix` is a real one, of several candidates."""
    scores = ranker.score(matrix)
    assert scores.shape == (len(matrix),) and np.isfinite(scores).all()

    parts = ranker.attribute(matrix)
    np.testing.assert_allclose([sum(part.values()) for part in parts], scores, atol=1e-9)
    assert all(set(part) <= {*FEATURES, "base"} for part in parts)

    order = np.random.default_rng(0).permutation(len(matrix))
    np.testing.assert_array_equal(ranker.score(matrix[order]), scores[order])
    np.testing.assert_allclose(ranker.score(matrix[:1]), scores[:1])
    assert ranker.score(matrix[:0]).shape == (0,)
    assert ranker.attribute(matrix[:0]) == []

    files = ranker.to_files()
    loaded = load_ranker(files)
    assert (loaded.name, loaded.version) == (ranker.name, ranker.version)
    assert loaded.to_files() == files
    np.testing.assert_array_equal(loaded.score(matrix), scores)
