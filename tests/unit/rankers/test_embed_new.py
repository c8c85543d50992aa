"""Only what is new is embedded, in batches that no order decides, and a killed run goes on."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.embedding import FloatArray
from rankers.embed_new import CHARACTERS_AT_ONCE, MOST_READ, embed_new
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.vector_cache import Killed, MemoryVectors

LONG = [f"passage {n} " + "of a long article " * (40 + n % 30) for n in range(300)]


class Counting(HashingEmbedder):
    def __init__(self, salt: str = "") -> None:
        super().__init__(salt=salt)
        self.batches: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.batches.append(list(texts))
        return super().encode(texts)


@given(st.lists(st.text(max_size=8), max_size=30), st.lists(st.text(max_size=8), max_size=30))
def test_row_by_row_it_is_what_the_embedder_says(first: list[str], second: list[str]) -> None:
    cache, embedder = MemoryVectors(), Counting()
    for texts in (first, second):
        np.testing.assert_array_equal(
            embed_new(texts, embedder, cache), HashingEmbedder().encode(texts)
        )
    asked = [text for batch in embedder.batches for text in batch]
    assert sorted(asked) == sorted({*first, *second})  # each once, whatever stood twice


def test_batches_depend_on_the_set_alone_and_have_a_bound() -> None:
    shuffled = LONG * 2
    random.Random(0).shuffle(shuffled)
    one, two = Counting(), Counting()
    embed_new(LONG, one, MemoryVectors())
    embed_new(shuffled, two, MemoryVectors())
    assert one.batches == two.batches and len(one.batches) > 3
    lengths = [len(text) for batch in one.batches for text in batch]
    assert lengths == sorted(lengths, reverse=True)
    for batch in one.batches:
        assert sum(min(MOST_READ, len(text)) for text in batch) < CHARACTERS_AT_ONCE + MOST_READ


def test_a_killed_run_loses_the_batch_it_was_in() -> None:
    cache, embedder = MemoryVectors(batches=2), Counting()
    with pytest.raises(Killed):
        embed_new(LONG, embedder, cache)
    done, lost = embedder.batches[:2], embedder.batches[2]
    cache.batches = None
    resumed = Counting()
    vectors = embed_new(LONG, resumed, cache)
    assert resumed.batches[0] == lost
    assert not {text for batch in done for text in batch} & {
        text for batch in resumed.batches for text in batch
    }
    np.testing.assert_array_equal(vectors, HashingEmbedder().encode(LONG))


def test_another_embedder_finds_nothing_of_the_first_one() -> None:
    cache, other = MemoryVectors(), Counting(salt="other")
    embed_new(["a fee"], Counting(), cache)
    embed_new(["a fee"], other, cache)
    assert other.batches == [["a fee"]]


def test_progress_counts_distinct_texts_and_begins_with_the_known() -> None:
    cache, seen = MemoryVectors(), []
    embed_new(["a fee"], Counting(), cache)
    embed_new(
        ["a fee", "a card", "a card"],
        Counting(),
        cache,
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
