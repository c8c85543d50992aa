"""Times the two ways of searching by meaning, flat and by a graph, on corpora of growing size."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.embedding import FloatArray
    from rankers.vector_search import VectorSearch

SIZES = (10_000, 50_000, 100_000, 200_000)
DIMENSIONS = 384  # of MiniLM
QUERIES = 200
DEPTH = 100  # what a request asks for

# Of MiniLM on SciFact's claims: two have a cosine of .12 in the mean with a deviation of .12, and
# the participation ratio of the covariance is 86; these give .11, .10 and 100. An article of some
# fifty chunks is a topic.
PER_TOPIC, DECAY, OWN, COMMON = 50, 0.35, 0.7, 0.35
MADE_AT_ONCE = 20_000
Progress = Callable[[str, int, int], None]


def bench_index(sizes: Sequence[int], progress: Progress, *, seed: int = 0) -> dict[str, Any]:
    """By size and way: seconds to build, milliseconds of a search, recall at 10, and megabytes.

    The vectors are drawn to lie as those of sentences do; the queries are more of the same, which
    no index holds.
    """
    from rankers.vector_search import FLAT_UP_TO, FlatSearch, GraphSearch

    ways: tuple[Callable[[FloatArray], VectorSearch], ...] = (FlatSearch.over, GraphSearch.over)
    told = []
    for place, size in enumerate(sizes):
        drawn = sentence_like(size + QUERIES, seed=seed)
        vectors, queries = drawn[:size], drawn[size:]
        for half, over in enumerate(ways):
            progress("flat and graph", 2 * place + half, 2 * len(sizes))
            started = time.perf_counter()
            search = over(vectors)
            seconds = time.perf_counter() - started
            told.append({"rows": size, "build_s": round(seconds, 2), **_measured(search, queries)})
    progress("flat and graph", 2 * len(sizes), 2 * len(sizes))
    return {
        "dimensions": DIMENSIONS,
        "queries": QUERIES,
        "depth": DEPTH,
        "flat_up_to": FLAT_UP_TO,
        "measured": told,
    }


def sentence_like(count: int, *, seed: int) -> "FloatArray":
    """Unit vectors in topics, their variance falling from axis to axis; shape (count, 384)."""
    source = np.random.default_rng(seed)
    scale = np.arange(1, DIMENSIONS + 1) ** -DECAY
    scale /= np.linalg.norm(scale)
    common = source.normal(size=DIMENSIONS)
    common *= COMMON / np.linalg.norm(common)
    topics = source.normal(size=(max(1, count // PER_TOPIC), DIMENSIONS)) * scale + common
    vectors = np.empty((count, DIMENSIONS), dtype=np.float32)
    for start in range(0, count, MADE_AT_ONCE):
        size = min(MADE_AT_ONCE, count - start)
        own = OWN * source.normal(size=(size, DIMENSIONS)) * scale
        made = topics[source.integers(0, len(topics), size)] + own
        vectors[start : start + size] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return vectors


def _measured(search: "VectorSearch", queries: "FloatArray") -> dict[str, Any]:
    from rankers.verify_index import measure_recall

    search.nearest(queries[0], DEPTH)  # the first call makes what later ones find
    times = []
    for query in queries:
        started = time.perf_counter()
        search.nearest(query, DEPTH)
        times.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.quantile(times, [0.5, 0.95])
    return {
        "search": search.kind,
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "recall_at_10": measure_recall(search, queries).told(),
        "mb": round(sum(map(len, search.to_files().values())) / 1e6, 1),
    }
