"""Two indexes side by side: alike, of another embedder, of other documents; counted by hand."""

import json

import numpy as np
import pytest

from core.errors import InvalidRequest
from rankers.compare_indexes import MOST_TOLD, IndexComparison, Probe, compare_indexes
from rankers.documents import WholeChunker, cut
from rankers.index import HybridIndex
from rankers.ranker import HybridRanker
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.ranking_world import ranking_world

WORLD = ranking_world(20)
CHUNKS = cut(WORLD.documents, WholeChunker())
TEXTS = [WORLD.queries[name] for name in sorted(WORLD.queries)][:40]
OLD, NEW = HashingEmbedder(64), HashingEmbedder(48, salt="new")
OLD_INDEX, NEW_INDEX = HybridIndex.build(CHUNKS, OLD), HybridIndex.build(CHUNKS, NEW)


def probes(old: HashingEmbedder, new: HashingEmbedder) -> list[Probe]:
    pairs = zip(TEXTS, old.encode(TEXTS), new.encode(TEXTS), strict=True)
    return [Probe(text=text, old=one, new=two) for text, one, two in pairs]


PAIRED = compare_indexes(OLD_INDEX, NEW_INDEX, probes(OLD, NEW))


def nearest(index: HybridIndex, vector: np.ndarray) -> list[str]:
    """Every chunk is a document here."""
    cosines = np.round(index.vectors.astype(np.float64) @ vector, 6)
    order = sorted(range(len(cosines)), key=lambda row: (-cosines[row], row))
    return [index.chunks[row].document for row in order[:10]]


def test_an_index_is_like_itself() -> None:
    got = compare_indexes(OLD_INDEX, OLD_INDEX, probes(OLD, OLD))
    assert got.same_space and got.old == got.new == OLD_INDEX.identity
    for figure in (got.overlap, got.overlap_by_meaning, got.same_first):
        assert figure.mean == 1 and figure.n == 40 and 0.9 < figure.ci_low < 1
    assert (got.changed_first, got.documents_added, got.documents_removed) == ((), 0, 0)


def test_overlap_by_meaning_is_what_a_count_by_hand_gives() -> None:
    shares = [
        len({*nearest(OLD_INDEX, probe.old)} & {*nearest(NEW_INDEX, probe.new)}) / 10
        for probe in probes(OLD, NEW)
    ]
    assert PAIRED.overlap_by_meaning.mean == pytest.approx(np.mean(shares))
    assert 0 < PAIRED.overlap_by_meaning.mean < 1 and not PAIRED.same_space


def test_by_meaning_alone_the_first_document_is_that_of_a_count_by_hand() -> None:
    got = compare_indexes(OLD_INDEX, NEW_INDEX, probes(OLD, NEW), ranker=HybridRanker(weight=1.0))
    same = [
        nearest(OLD_INDEX, probe.old)[0] == nearest(NEW_INDEX, probe.new)[0]
        for probe in probes(OLD, NEW)
    ]
    assert got.same_first.mean == pytest.approx(np.mean(same)) and 0 < np.mean(same) < 1
    changed = [place for place, alike in enumerate(same) if not alike]
    assert list(got.changed_first) == changed[:MOST_TOLD]


def test_words_hide_an_embedder_that_knows_nothing_but_not_from_the_search_by_meaning() -> None:
    junk = np.random.default_rng(0).normal(size=(len(CHUNKS), 48)).astype(np.float32)
    junk /= np.linalg.norm(junk, axis=1, keepdims=True)
    bad = HybridIndex.from_vectors(CHUNKS, junk, fingerprint=NEW.fingerprint)
    got = compare_indexes(OLD_INDEX, bad, probes(OLD, NEW))
    assert got.overlap_by_meaning.ci_high < PAIRED.overlap_by_meaning.mean
    assert got.overlap_by_meaning.mean < got.overlap.mean


def test_documents_that_came_and_went_are_counted() -> None:
    fewer = HybridIndex.build(CHUNKS[3:], OLD)
    got = compare_indexes(OLD_INDEX, fewer, probes(OLD, OLD))
    assert (got.documents_added, got.documents_removed) == (0, 3)
    back = compare_indexes(fewer, OLD_INDEX, probes(OLD, OLD))
    assert (back.documents_added, back.documents_removed) == (3, 0)
    assert back.overlap == got.overlap


def test_a_list_that_became_shorter_does_not_look_alike() -> None:
    one = HybridIndex.build(CHUNKS[:1], OLD)
    got = compare_indexes(OLD_INDEX, one, probes(OLD, OLD))
    assert got.overlap.mean <= 0.1


def test_what_is_told_is_json() -> None:
    told = json.loads(json.dumps(PAIRED.told()))
    assert set(told["overlap_at_10"]) == {"mean", "ci_low", "ci_high", "n"}
    assert told["same_first"]["mean"] == PAIRED.same_first.mean


def nothing() -> IndexComparison:
    return compare_indexes(OLD_INDEX, NEW_INDEX, [])


def swapped() -> IndexComparison:
    return compare_indexes(NEW_INDEX, OLD_INDEX, probes(OLD, NEW))


@pytest.mark.parametrize("bad", [nothing, swapped])
def test_nothing_asked_and_vectors_of_another_space_are_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(InvalidRequest) as caught:
        bad()
    assert caught.value.code == "RUNG-INDEX-PROBES"
