"""Both ways of searching against numpy's comparison with every vector, and what is refused."""

import gc
from collections.abc import Callable

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankers.vector_search import (
    EF_SEARCH,
    FLAT_UP_TO,
    LINKED_AT_ONCE,
    WALKED_FOR_ONE_IN,
    FlatSearch,
    GraphSearch,
    VectorSearch,
    read_search,
    search_over,
)

DIMENSIONS = 32


def units(count: int, *, seed: int = 0, dimensions: int = DIMENSIONS) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


VECTORS, QUERIES = units(3000), units(50, seed=1)
FLAT, GRAPH = FlatSearch.over(VECTORS), GraphSearch.over(VECTORS)
BOTH = pytest.mark.parametrize("search", [FLAT, GRAPH], ids=lambda search: search.kind)


def by_hand(query: np.ndarray, count: int) -> list[int]:
    cosines = VECTORS.astype(np.float64) @ query
    return sorted(range(len(VECTORS)), key=lambda row: (-cosines[row], row))[:count]


def test_flat_search_is_exact() -> None:
    for query in QUERIES:
        assert FLAT.nearest(query, 10).tolist() == by_hand(query, 10)


def test_a_graph_finds_nearly_all_even_of_vectors_without_any_structure() -> None:
    found = [len({*GRAPH.nearest(q, 10).tolist()} & {*by_hand(q, 10)}) / 10 for q in QUERIES]
    assert np.mean(found) >= 0.97


@BOTH
def test_a_vector_is_nearest_to_itself_and_none_is_named_twice(search: VectorSearch) -> None:
    for row in range(0, 3000, 100):
        found = search.nearest(VECTORS[row], 100).tolist()
        assert found[0] == row and len(set(found)) == len(found) == 100
        cosines = VECTORS[found] @ VECTORS[row]
        assert (np.diff(cosines) <= 1e-6).all()


@BOTH
def test_vectors_are_those_given_and_nobody_writes_on_them(search: VectorSearch) -> None:
    np.testing.assert_array_equal(search.vectors, VECTORS)
    with pytest.raises(ValueError, match="read-only"):
        search.vectors[0, 0] = 1


@pytest.mark.parametrize("way", [FlatSearch, GraphSearch])
def test_vectors_outlive_the_search_that_held_them(way: type[FlatSearch | GraphSearch]) -> None:
    built = way.over(VECTORS)
    loaded = read_search(built.to_files(), built.kind)
    kept = [built.vectors, loaded.vectors]
    del built, loaded
    gc.collect()
    noise = [np.ones((300, DIMENSIONS), np.float32) for _ in range(100)]  # to reuse what was freed
    assert all(np.array_equal(vectors, VECTORS) for vectors in kept) and len(noise) == 100


@BOTH
def test_files_bring_back_the_same_search(search: VectorSearch) -> None:
    files = search.to_files()
    loaded = read_search(files, search.kind)
    assert loaded.kind == search.kind and loaded.to_files() == files
    for query in QUERIES:
        np.testing.assert_array_equal(loaded.nearest(query, 30), search.nearest(query, 30))


def test_two_builds_of_a_graph_give_the_same_bytes() -> None:
    assert GraphSearch.over(VECTORS).to_files() == GRAPH.to_files()


def test_a_graph_is_built_in_slices_and_tells_after_each() -> None:
    told: list[tuple[int, int]] = []
    vectors = units(2 * LINKED_AT_ONCE + 7, dimensions=4)
    graph = GraphSearch.over(vectors, progress=lambda *count: told.append(count))
    assert [done for done, _ in told] == [LINKED_AT_ONCE, 2 * LINKED_AT_ONCE, len(vectors)]
    assert {total for _, total in told} == {len(vectors)}
    np.testing.assert_array_equal(graph.vectors, vectors)
    assert GraphSearch.over(vectors).to_files() == graph.to_files()
    found = [len({*graph.nearest(v, 10)} & {*graph.exact.nearest(v, 10)}) for v in vectors[::500]]
    assert np.mean(found) > 9.7  # across the borders of the slices too


def test_what_the_progress_raises_ends_a_build() -> None:
    def cancelled(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GraphSearch.over(VECTORS, progress=cancelled)


@pytest.mark.parametrize("flat_up_to", [0, len(VECTORS)])
def test_either_way_ends_with_all_told(flat_up_to: int) -> None:
    told: list[tuple[int, int]] = []
    search_over(VECTORS, flat_up_to=flat_up_to, progress=lambda *count: told.append(count))
    assert told[-1] == (len(VECTORS), len(VECTORS))


def test_very_many_are_found_by_comparing_with_every_vector() -> None:
    """To walk a graph for them would take longer, and miss some."""
    without = GraphSearch(faiss.IndexHNSWFlat(DIMENSIONS, 8, faiss.METRIC_INNER_PRODUCT), FLAT)
    few = EF_SEARCH // 2
    assert few > len(VECTORS) // WALKED_FOR_ONE_IN
    assert not len(without.nearest(QUERIES[0], few))  # nothing is linked, so nothing is found
    np.testing.assert_array_equal(
        without.nearest(QUERIES[0], few + 1), FLAT.nearest(QUERIES[0], few + 1)
    )


def test_the_vectors_are_stored_once_and_alike_for_both() -> None:
    assert GRAPH.to_files()["vectors.faiss"] == FLAT.to_files()["vectors.faiss"]
    assert len(GRAPH.to_files()["graph.faiss"]) < VECTORS.nbytes * 3


def test_the_way_is_chosen_by_size() -> None:
    assert search_over(units(FLAT_UP_TO, dimensions=2)).kind == "flat"
    assert search_over(VECTORS, flat_up_to=len(VECTORS) - 1).kind == "graph"
    assert search_over(VECTORS, flat_up_to=len(VECTORS)).kind == "flat"


@given(st.integers(1, 12), st.integers(1, 200), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_few_vectors_and_many_asked_for(size: int, count: int, seed: int) -> None:
    few = units(size, seed=seed, dimensions=4)
    for search in (FlatSearch.over(few), GraphSearch.over(few)):
        found = search.nearest(few[0], count)
        assert sorted(found) == sorted(set(found)) and len(found) == min(size, count)


def test_a_graph_finds_among_many_copies_of_one_text() -> None:
    """Copies link to copies first: without other links they would be an island."""
    copies = np.concatenate([np.repeat(VECTORS[:1], 300, axis=0), VECTORS[1:1000]])
    graph = GraphSearch.over(copies)
    for row in (400, 700, 1200):
        assert graph.nearest(copies[row], 10)[0] == row
    assert (graph.nearest(copies[0], 10) < 300).all()


def faiss_bytes(index: object, flags: int = 0) -> bytes:
    content: bytes = faiss.serialize_index(index, flags).tobytes()
    return content


def l2() -> dict[str, bytes]:
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(VECTORS)
    return {"vectors.faiss": faiss_bytes(index)}


def not_finite() -> dict[str, bytes]:
    broken = VECTORS.copy()
    broken[7, 3] = np.inf
    return FlatSearch.over(broken).to_files()


def of_other_vectors() -> dict[str, bytes]:
    return {
        **GRAPH.to_files(),
        "graph.faiss": GraphSearch.over(VECTORS[1:]).to_files()["graph.faiss"],
    }


def of_other_dimensions() -> dict[str, bytes]:
    other = GraphSearch.over(units(3000, dimensions=8))
    return {**GRAPH.to_files(), "graph.faiss": other.to_files()["graph.faiss"]}


def flat_as_graph() -> dict[str, bytes]:
    return {**GRAPH.to_files(), "graph.faiss": FLAT.to_files()["vectors.faiss"]}


def with_vectors_of_its_own() -> dict[str, bytes]:
    graph = faiss.IndexHNSWFlat(DIMENSIONS, 8, faiss.METRIC_INNER_PRODUCT)
    graph.add(VECTORS)
    return {**GRAPH.to_files(), "graph.faiss": faiss_bytes(graph)}


def with_a_link_to_nowhere() -> dict[str, bytes]:
    graph = faiss.IndexHNSWFlat(DIMENSIONS, 8, faiss.METRIC_INNER_PRODUCT)
    graph.add(VECTORS)
    links = faiss.vector_to_array(graph.hnsw.neighbors)
    links[5] = len(VECTORS)
    faiss.copy_array_to_vector(links, graph.hnsw.neighbors)
    return {**GRAPH.to_files(), "graph.faiss": faiss_bytes(graph, faiss.IO_FLAG_SKIP_STORAGE)}


def without_vectors() -> dict[str, bytes]:
    return {"graph.faiss": GRAPH.to_files()["graph.faiss"]}


def cut_short() -> dict[str, bytes]:
    return {**GRAPH.to_files(), "graph.faiss": GRAPH.to_files()["graph.faiss"][:-50]}


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (l2, "flat"),
        (not_finite, "flat"),
        (GRAPH.to_files, "flat"),
        (FLAT.to_files, "graph"),
        (FLAT.to_files, "other"),
        (of_other_vectors, "graph"),
        (of_other_dimensions, "graph"),
        (flat_as_graph, "graph"),
        (with_vectors_of_its_own, "graph"),
        (with_a_link_to_nowhere, "graph"),
        (without_vectors, "graph"),
        (cut_short, "graph"),
    ],
)
def test_what_does_not_fit_is_refused(made: Callable[[], dict[str, bytes]], kind: str) -> None:
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        read_search(made(), kind)
