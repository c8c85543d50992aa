"""An index that must not be used is refused, each for its reason; recall by brute force."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CorruptArtifact, InvalidDocument, RungError
from rankers.documents import Chunk
from rankers.index import HybridIndex
from rankers.terms import TermIndex
from rankers.vector_search import FlatSearch, GraphSearch
from rankers.verify_index import (
    PROBE_COSINE,
    PROBES,
    VerifiedIndex,
    measure_recall,
    own_probes,
    verify_index,
    verify_written,
)
from tests.fakes.forgetful_search import ForgetfulSearch
from tests.fakes.hashing_embedder import HashingEmbedder

EMBEDDER = HashingEmbedder(32)


def chunk(number: int, text: str, title: str = "Title") -> Chunk:
    return Chunk(id=f"d{number:04d}#0", document=f"d{number:04d}", title=title, text=text)


def words(number: int) -> str:
    source = np.random.default_rng(number)
    return " ".join(f"w{word}" for word in source.integers(0, 300, 12))


CHUNKS = [chunk(number, words(number)) for number in range(400)]
INDEX = HybridIndex.build(CHUNKS, EMBEDDER, chunker="whole.v1")
GRAPH = replace(INDEX, by_meaning=GraphSearch.over(INDEX.vectors))
ASKED = EMBEDDER.encode([words(number) for number in range(900, 930)])


@pytest.mark.parametrize("index", [INDEX, GRAPH])
def test_a_good_index_passes_and_tells_what_was_measured(index: HybridIndex) -> None:
    got = verify_index(index, queries=ASKED)
    verify_written(index, index.to_files())
    assert (got.identity, got.chunks, got.dimensions) == (INDEX.identity, 400, 32)
    assert got.search == index.by_meaning.kind
    assert got.recall.n == PROBES + len(ASKED) and got.recall.ci_low >= 0.95
    told = json.loads(json.dumps(got.told()))
    assert told["recall"]["k"] == 10 and told["recall"]["mean"] == got.recall.mean


def test_flat_search_misses_nothing() -> None:
    assert verify_index(INDEX).recall.mean == 1


def test_one_chunk_is_an_index_too() -> None:
    got = verify_index(HybridIndex.build(CHUNKS[:1], EMBEDDER))
    assert (got.chunks, got.recall.mean) == (1, 1)


def test_recall_is_what_a_count_by_hand_gives() -> None:
    search = ForgetfulSearch(INDEX.vectors, every=4)
    probes = own_probes(INDEX.vectors)[:60]
    shares = []
    for probe in probes:
        cosines = (INDEX.vectors.astype(np.float64) @ probe.astype(np.float64)).tolist()
        tenth = sorted(cosines, reverse=True)[9]
        near = {row for row, cosine in enumerate(cosines) if cosine >= tenth - 1e-6}
        shares.append(len(near & {*search.nearest(probe, 10).tolist()}) / 10)
    got = measure_recall(search, probes)
    assert got.mean == pytest.approx(np.mean(shares)) and 0.5 < got.mean < 0.95


def test_of_equal_texts_any_may_be_found() -> None:
    same = HybridIndex.build([chunk(n, "the same words") for n in range(100)], EMBEDDER)
    search = ForgetfulSearch(same.vectors, every=2)
    assert measure_recall(search, own_probes(same.vectors)).mean == 1


def test_probes_are_drawn_alike_and_lie_near_the_corpus() -> None:
    probes = own_probes(INDEX.vectors)
    np.testing.assert_array_equal(probes, own_probes(INDEX.vectors))
    assert not np.array_equal(probes, own_probes(INDEX.vectors, seed=1))
    np.testing.assert_allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-6)
    wide = np.eye(384, dtype=np.float32)
    cosines = (own_probes(wide) @ wide.T).max(axis=1)
    assert abs(float(cosines.mean()) - PROBE_COSINE) < 0.02


def forgetful() -> VerifiedIndex:
    return verify_index(replace(INDEX, by_meaning=ForgetfulSearch(INDEX.vectors, every=5)))


def too_long() -> VerifiedIndex:
    return verify_index(replace(INDEX, by_meaning=FlatSearch.over(INDEX.vectors * 1.01)))


def not_a_number() -> VerifiedIndex:
    broken = INDEX.vectors.copy()
    broken[3] = np.nan
    return verify_index(replace(INDEX, by_meaning=FlatSearch.over(broken)))


def fewer_vectors() -> VerifiedIndex:
    return verify_index(replace(INDEX, by_meaning=FlatSearch.over(INDEX.vectors[1:])))


def fewer_titles() -> VerifiedIndex:
    return verify_index(replace(INDEX, title=TermIndex.build([["a"]] * 399)))


def one_id_twice() -> VerifiedIndex:
    return verify_index(replace(INDEX, chunks=(INDEX.chunks[1], *INDEX.chunks[1:])))


def written_of_another() -> None:
    other = HybridIndex.build([*CHUNKS[1:], chunk(0, "changed")], EMBEDDER, chunker="whole.v1")
    verify_written(INDEX, other.to_files())


def written_with_other_words() -> None:
    other = HybridIndex.build([*CHUNKS[1:], chunk(0, "changed")], EMBEDDER, chunker="whole.v1")
    verify_written(INDEX, {**INDEX.to_files(), **other.text.to_files("text")})


def written_with_other_vectors() -> None:
    turned = FlatSearch.over(INDEX.vectors[::-1])
    verify_written(INDEX, {**INDEX.to_files(), **turned.to_files()})


def written_without_its_graph() -> None:
    files = GRAPH.to_files()
    del files["graph.faiss"]
    verify_written(GRAPH, files)


def queries_of_another_space() -> VerifiedIndex:
    return verify_index(INDEX, queries=ASKED[:, :8])


@pytest.mark.parametrize(
    ("bad", "error", "code"),
    [
        (forgetful, CorruptArtifact, "RUNG-INDEX-RECALL"),
        (too_long, InvalidDocument, "RUNG-INDEX-VECTORS"),
        (not_a_number, InvalidDocument, "RUNG-INDEX-VECTORS"),
        (queries_of_another_space, InvalidDocument, "RUNG-INDEX-VECTORS"),
        (fewer_vectors, CorruptArtifact, "RUNG-INDEX-CONTENT"),
        (fewer_titles, CorruptArtifact, "RUNG-INDEX-CONTENT"),
        (one_id_twice, CorruptArtifact, "RUNG-INDEX-CONTENT"),
        (written_without_its_graph, CorruptArtifact, "RUNG-INDEX-CONTENT"),
        (written_of_another, CorruptArtifact, "RUNG-INDEX-ROUNDTRIP"),
        (written_with_other_words, CorruptArtifact, "RUNG-INDEX-ROUNDTRIP"),
        (written_with_other_vectors, CorruptArtifact, "RUNG-INDEX-ROUNDTRIP"),
    ],
)
def test_a_bad_index_is_refused(
    bad: Callable[[], VerifiedIndex | None], error: type[RungError], code: str
) -> None:
    with pytest.raises(error) as caught:
        bad()
    assert caught.value.code == code and caught.value.way_out


def test_an_index_whose_graph_is_refused_may_be_searched_exactly() -> None:
    bad = replace(INDEX, by_meaning=ForgetfulSearch(INDEX.vectors, every=5))
    exact = bad.exact()
    assert exact.identity == bad.identity and verify_index(exact).recall.mean == 1


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.dictionaries(texts, st.tuples(texts, texts), min_size=1, max_size=6), texts, st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_any_chunks_come_back_as_they_were(
    content: dict[str, tuple[str, str]], asked: str, by_graph: bool
) -> None:
    chunks = [Chunk(id=n, document=n, title=t, text=x) for n, (t, x) in content.items()]
    index = HybridIndex.build(chunks, EMBEDDER)
    if by_graph:
        index = replace(index, by_meaning=GraphSearch.over(index.vectors))
    verified = verify_index(index)
    verify_written(index, index.to_files())
    loaded = HybridIndex.from_files(index.to_files())
    assert loaded.identity == verified.identity == index.identity
    assert loaded.chunks == tuple(sorted(chunks, key=lambda one: one.id))
    reference = EMBEDDER.encode([one.whole for one in loaded.chunks])
    np.testing.assert_allclose(loaded.vectors, reference, atol=1e-5)
    one, two = (each.search(asked, EMBEDDER) for each in (index, loaded))
    for part in ("rows", "bm25", "dense"):
        np.testing.assert_array_equal(getattr(one, part), getattr(two, part))
