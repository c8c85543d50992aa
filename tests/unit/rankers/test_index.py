"""The index: the same for any order of the documents, and never with another embedder."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CorruptArtifact, InvalidDocument
from rankers.documents import Chunk
from rankers.fusion import fuse, min_max
from rankers.index import HybridIndex
from rankers.vector_search import GraphSearch
from tests.fakes.hashing_embedder import HashingEmbedder

TEXTS = {
    "card": ("Lost card", "Freeze the card in the app, then order a new one."),
    "fee": ("Fees abroad", "A payment abroad costs one percent of the amount."),
    "late": ("Late transfer", "A transfer takes up to two working days to arrive."),
    "twin-a": ("Same", "Two articles of the same words."),
    "twin-b": ("Same", "Two articles of the same words."),
}
CHUNKS = [Chunk(id=f"{n}#0", document=n, title=t, text=x) for n, (t, x) in TEXTS.items()]
EMBEDDER = HashingEmbedder()
INDEX = HybridIndex.build(CHUNKS, EMBEDDER, chunker="whole.v1")


def found(index: HybridIndex, text: str, depth: int = 100) -> list[tuple[str, float, float]]:
    got = index.search(text, EMBEDDER, depth=depth)
    names = [index.chunks[row].id for row in got.rows]
    return list(zip(names, got.bm25.tolist(), got.dense.tolist(), strict=True))


@given(st.randoms(use_true_random=False), st.text(max_size=30))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_documents_has_no_say(source: random.Random, text: str) -> None:
    shuffled = CHUNKS.copy()
    source.shuffle(shuffled)
    other = HybridIndex.build(shuffled, EMBEDDER, chunker="whole.v1")
    assert other.identity == INDEX.identity
    assert other.to_files() == INDEX.to_files()
    assert found(other, text) == found(INDEX, text)


def test_scores_are_raw_and_of_every_candidate() -> None:
    got = INDEX.search("lost card", EMBEDDER)
    vectors = EMBEDDER.encode([chunk.whole for chunk in INDEX.chunks])
    query = EMBEDDER.encode(["lost card"])[0]
    np.testing.assert_allclose(got.dense, (vectors @ query)[got.rows], atol=1e-5)
    assert INDEX.chunks[got.rows[got.bm25.argmax()]].document == "card"
    twins = [row for row, chunk in enumerate(INDEX.chunks) if chunk.title == "Same"]
    assert len({got.dense[list(got.rows).index(row)] for row in twins}) == 1


def test_depth_bounds_each_list_and_the_smaller_id_wins_a_tie() -> None:
    (only,) = found(INDEX, "articles of the same words", depth=1)
    assert only[0] == "twin-a#0"
    assert len(found(INDEX, "card abroad", depth=1)) <= 2


@pytest.mark.parametrize("text", ["", "   ", "???", "qzx unheard", "the of and", "a\0b", "\ud800"])
def test_a_text_without_known_words_is_still_searched_by_meaning(text: str) -> None:
    got = INDEX.search(text, EMBEDDER)
    assert len(got) == len(CHUNKS) and not got.bm25.any()


@pytest.mark.parametrize("text", ["card", "", "nothing alike"])
def test_a_corpus_of_one_document(text: str) -> None:
    index = HybridIndex.build(CHUNKS[:1], EMBEDDER)
    assert [name for name, _, _ in found(index, text)] == ["card#0"]


def test_a_corpus_without_words() -> None:
    index = HybridIndex.build([Chunk(id="a", document="a", title="", text="?!")], EMBEDDER)
    assert found(HybridIndex.from_files(index.to_files()), "card")[0][:2] == ("a", 0.0)


def test_files_bring_back_the_same_index() -> None:
    files = INDEX.to_files()
    loaded = HybridIndex.from_files(files, fingerprint=EMBEDDER.fingerprint)
    assert loaded.to_files() == files and loaded.identity == INDEX.identity
    assert found(loaded, "card fee") == found(INDEX, "card fee")


def test_another_embedder_is_refused_in_search_and_in_loading() -> None:
    other = HashingEmbedder(salt="other")
    with pytest.raises(InvalidDocument) as caught:
        INDEX.search("card", other)
    assert caught.value.code == "RUNG-INDEX-EMBEDDER"
    with pytest.raises(InvalidDocument):
        HybridIndex.from_files(INDEX.to_files(), fingerprint=other.fingerprint)


def test_identity_changes_with_what_is_indexed_and_how() -> None:
    changed = [Chunk(id="card#0", document="card", title="Lost card", text="Other"), *CHUNKS[1:]]
    others = [
        HybridIndex.build(changed, EMBEDDER, chunker="whole.v1"),
        HybridIndex.build(CHUNKS, HashingEmbedder(salt="x"), chunker="whole.v1"),
        HybridIndex.build(CHUNKS, EMBEDDER, chunker="other.v1"),
    ]
    assert len({INDEX.identity, *(other.identity for other in others)}) == 4


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.json", b"{}"),
        ("index.json", b"\xff"),
        ("vectors.faiss", b"short"),
        ("text.json", b"[]"),
        ("text.safetensors", b"x"),
        ("title.safetensors", None),
    ],
)
def test_broken_files_are_refused(name: str, content: bytes | None) -> None:
    files = INDEX.to_files()
    if content is None:
        del files[name]
    else:
        files[name] = content
    with pytest.raises(CorruptArtifact) as caught:
        HybridIndex.from_files(files)
    assert caught.value.code == "RUNG-INDEX-CONTENT"


@pytest.mark.parametrize(
    "change",
    [
        {"identity": None},
        {"fingerprint": 3},
        {"chunker": None},
        {"search": "graph"},
        {"search": ["flat"]},
        {"chunks": []},
        {"chunks": [{"id": "a"}]},
        {"chunks": "text"},
        {"chunks": [["id", "a"]]},
        {"chunks": [{"id": "a", "document": "a", "title": "a", "text": 7}]},
        {"chunks": [{"id": "a", "document": "a", "title": "a", "text": "a"}] * 5},
    ],
)
def test_a_description_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    files = INDEX.to_files()
    about = json.dumps({**json.loads(files["index.json"]), **change}).encode()
    with pytest.raises(CorruptArtifact) as caught:
        HybridIndex.from_files({**files, "index.json": about})
    assert caught.value.code == "RUNG-INDEX-CONTENT"


def test_a_part_of_another_index_is_refused() -> None:
    other = HybridIndex.build(CHUNKS[1:], EMBEDDER, chunker="whole.v1").to_files()
    for name in INDEX.to_files():
        with pytest.raises(CorruptArtifact):
            HybridIndex.from_files({**INDEX.to_files(), name: other[name]})


def test_an_index_that_was_stored_before_there_was_a_graph_is_read() -> None:
    files = INDEX.to_files()
    about = json.loads(files["index.json"])
    del about["search"]
    loaded = HybridIndex.from_files({**files, "index.json": json.dumps(about).encode()})
    assert loaded.to_files() == files


def test_a_graph_answers_as_comparing_with_every_vector_does() -> None:
    graph = replace(INDEX, by_meaning=GraphSearch.over(INDEX.vectors))
    assert graph.identity == INDEX.identity == graph.exact().identity
    for text in ("lost card", "fee", "", "unheard"):
        assert found(graph, text) == found(INDEX, text) == found(graph.exact(), text)
    loaded = HybridIndex.from_files(graph.to_files())
    assert loaded.by_meaning.kind == "graph" and loaded.to_files() == graph.to_files()


words = st.lists(st.sampled_from(["card", "fee", "late", "lost", "new"]), max_size=4).map(" ".join)


@given(st.lists(words, min_size=1, max_size=30), words, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_candidates_are_those_of_sorting_every_row(
    texts: list[str], asked: str, depth: int
) -> None:
    """Ties by words go to the smaller id; by meaning any of the tied may be named."""
    chunks = [
        Chunk(id=f"{n:03d}", document=f"{n:03d}", title="", text=t) for n, t in enumerate(texts)
    ]
    index = HybridIndex.build(chunks, EMBEDDER)
    got = index.search(asked, EMBEDDER, depth=depth)
    bm25 = index.text.scores(got.words)
    by_words = [row for row in np.argsort(-bm25, kind="stable")[:depth] if bm25[row] > 0]
    cosines = np.round(index.vectors.astype(np.float64) @ EMBEDDER.encode([asked])[0], 6)
    least = np.sort(cosines)[::-1][: min(depth, len(texts))][-1]
    assert set(by_words) <= set(got.rows.tolist())
    assert set(np.flatnonzero(cosines > least + 1e-6)) <= set(got.rows.tolist())
    assert len(got) <= len(by_words) + depth and (np.diff(got.rows) > 0).all()
    np.testing.assert_array_equal(got.bm25, bm25[got.rows])
    np.testing.assert_allclose(got.dense, cosines[got.rows], atol=2e-6)


def test_texts_that_are_not_those_of_the_identity_are_refused() -> None:
    files = INDEX.to_files()
    about = json.loads(files["index.json"])
    about["chunks"][0]["text"] = "forged"
    with pytest.raises(CorruptArtifact):
        HybridIndex.from_files({**files, "index.json": json.dumps(about).encode()})


def test_vectors_that_do_not_fit_are_refused() -> None:
    vectors = EMBEDDER.encode([chunk.whole for chunk in CHUNKS])
    broken = vectors.copy()
    broken[0, 0] = np.nan
    for given_vectors in (vectors[1:], broken, vectors[:, :0], vectors[:, 0]):
        with pytest.raises(InvalidDocument) as caught:
            HybridIndex.from_vectors(CHUNKS, given_vectors, fingerprint="f")
        assert caught.value.code == "RUNG-INDEX-VECTORS"


@pytest.mark.parametrize(
    ("chunks", "code"),
    [([], "RUNG-CORPUS-EMPTY"), ([CHUNKS[0], CHUNKS[0]], "RUNG-CORPUS-DUPLICATE")],
)
def test_no_chunks_and_chunks_twice_are_refused(chunks: list[Chunk], code: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        HybridIndex.build(chunks, EMBEDDER)
    assert caught.value.code == code


scores = st.lists(st.floats(-50, 50), min_size=1, max_size=20).map(np.array)


@given(scores, st.floats(0.1, 9), st.floats(-9, 9))
def test_min_max_forgets_scale_and_origin(values: np.ndarray, scale: float, shift: float) -> None:
    scaled = min_max(values)
    assert scaled.min() >= 0 and scaled.max() <= 1
    if values.max() - values.min() > 1e-3:
        np.testing.assert_allclose(min_max(values * scale + shift), scaled, atol=1e-6)


def test_fusion_by_hand() -> None:
    fused = fuse(np.array([0.0, 5.0, 10.0]), np.array([0.2, 0.6, 0.4]), 0.25)
    np.testing.assert_allclose(fused, [0, 0.25 * 1 + 0.75 * 0.5, 0.25 * 0.5 + 0.75])
    assert not fuse(np.array([3.0, 3.0]), np.array([1.0, 1.0]), 0.5).any()
