"""The bench of both searches: what it tells is of every size and way, and of vectors like real."""

import numpy as np

from cli.bench_index import DIMENSIONS, QUERIES, bench_index, sentence_like
from tests.schemas import faults

SIZES = (300, 900)


def test_every_size_is_measured_both_ways_and_told() -> None:
    steps: list[tuple[int, int]] = []
    told = bench_index(SIZES, lambda step, done, total: steps.append((done, total)))
    rows = [(one["rows"], one["search"]) for one in told["measured"]]
    assert rows == [(size, way) for size in SIZES for way in ("flat", "graph")]
    assert steps == [(done, 4) for done in range(5)]
    for one in told["measured"]:
        assert 0 < one["p50_ms"] <= one["p95_ms"] and one["recall_at_10"]["n"] == QUERIES
        assert one["mb"] >= one["rows"] * DIMENSIONS * 4 / 1e6 - 0.05
    flat, graph = told["measured"][-2:]
    assert flat["recall_at_10"]["mean"] == 1 and graph["recall_at_10"]["mean"] > 0.95
    assert faults("bench-index", told) == []
    assert graph["mb"] > flat["mb"] and graph["build_s"] >= flat["build_s"]


def test_vectors_are_drawn_alike_and_lie_as_those_of_sentences() -> None:
    vectors = sentence_like(4000, seed=0)
    np.testing.assert_array_equal(vectors, sentence_like(4000, seed=0))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    pairs = (vectors[:2000] * vectors[2000:]).sum(axis=1)
    assert 0.03 < pairs.mean() < 0.2 and 0.05 < pairs.std() < 0.2
    spread = np.linalg.eigvalsh(np.cov(vectors.T))
    assert 50 < spread.sum() ** 2 / (spread**2).sum() < 150
