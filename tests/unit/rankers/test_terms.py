"""Postings against BM25 written out by hand, bm25s itself, and brute-force readings."""

import math
from collections import Counter
from itertools import pairwise

import bm25s
import numpy as np
import pytest
from bm25s.tokenization import Tokenized
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from rankers.terms import K1, B, TermIndex, highest

word = st.sampled_from("abcdefg")
texts = st.lists(st.lists(word, max_size=12), min_size=1, max_size=8)
query = st.lists(st.sampled_from("abcdefgxyz"), max_size=6)


def bm25_by_hand(corpus: list[list[str]], asked: list[str], row: int) -> float:
    """Lucene's formula without its constant (k1 + 1), which changes no order."""
    n = len(corpus)
    average = sum(map(len, corpus)) / n
    counts = Counter(corpus[row])
    score = 0.0
    for term in asked:
        df = sum(term in text for text in corpus)
        if counts[term]:
            idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
            length = 1 - B + B * len(corpus[row]) / average
            score += idf * counts[term] / (counts[term] + K1 * length)
    return score


@given(texts, query)
def test_bm25_is_the_formula(corpus: list[list[str]], asked: list[str]) -> None:
    scores = TermIndex.build(corpus).scores(asked)
    expected = [bm25_by_hand(corpus, asked, row) for row in range(len(corpus))]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_scores_are_those_of_bm25s() -> None:
    corpus = [["card", "lost"], ["card", "fee", "fee"], ["transfer"]]
    index = TermIndex.build(corpus)
    theirs = bm25s.BM25(method="lucene", k1=K1, b=B)
    ids = [[index.vocabulary[word] for word in text] for text in corpus]
    theirs.index(Tokenized(ids, dict(index.vocabulary)), show_progress=False)
    np.testing.assert_allclose(
        index.scores(["card", "fee"]), theirs.get_scores(["card", "fee"]), rtol=1e-6
    )


@given(texts, query)
def test_coverage_and_pairs_by_brute_force(corpus: list[list[str]], asked: list[str]) -> None:
    index, rows = TermIndex.build(corpus), np.arange(len(corpus))
    plain, weighted = index.coverage(asked, rows)
    shares = index.pairs(asked, rows)
    distinct = set(asked)
    pairs = set(pairwise(asked))
    for row, text in enumerate(corpus):
        there = distinct & set(text)
        assert plain[row] == pytest.approx(len(there) / max(len(distinct), 1))
        total = sum(index.idf(term) for term in distinct)
        assert weighted[row] == pytest.approx(
            sum(index.idf(term) for term in there) / total if total else 0
        )
        found = pairs & set(pairwise(text))
        assert shares[row] == pytest.approx(len(found) / max(len(pairs), 1))
        assert index.lengths(rows)[row] == len(text)


def test_a_word_that_no_chunk_has_weighs_most() -> None:
    index = TermIndex.build([["a", "b"], ["a"]])
    assert index.idf("unheard") > index.idf("b") > index.idf("a") > 0


@given(texts, query)
@settings(deadline=None)
def test_files_bring_back_the_same_scores_and_the_same_bytes(
    corpus: list[list[str]], asked: list[str]
) -> None:
    index = TermIndex.build(corpus)
    files = index.to_files("text")
    loaded = TermIndex.from_files(files, "text")
    np.testing.assert_array_equal(loaded.scores(asked), index.scores(asked))
    assert loaded.to_files("text") == files == TermIndex.build(corpus).to_files("text")


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]), max_size=60), st.integers(1, 70))
def test_the_highest_scores_are_those_of_sorting_all(scores: list[float], depth: int) -> None:
    values = np.array(scores, dtype=np.float32)
    sorted_all = np.argsort(-values, kind="stable")[:depth]
    expected = sorted(row for row in sorted_all.tolist() if values[row] > 0)
    assert highest(values, depth).tolist() == expected


WORDS = [["a", "b", "a"], ["b", "c"], ["c", "a"]]
TERMS = TermIndex.build(WORDS)


@pytest.mark.parametrize(
    ("array", "place", "value"),
    [
        ("tokens", 0, 3),  # a word beyond the last
        ("tokens", 0, -1),
        ("starts", 1, 9),  # a chunk that ends beyond the tokens
        ("starts", 0, 1),
        ("starts", -1, 6),
        ("indices", 0, 3),  # a chunk beyond the last
        ("indices", 0, -1),
        ("indices", 1, 0),  # twice the same chunk for one word
        ("indptr", 1, 9),
        ("indptr", -1, 5),
        ("data", 0, np.nan),
    ],
)
def test_an_array_that_leads_nowhere_is_refused(array: str, place: int, value: float) -> None:
    files = TERMS.to_files("text")
    arrays = load(files["text.safetensors"])
    arrays[array] = arrays[array].copy()
    arrays[array][place] = value
    with pytest.raises(ValueError, match="outside"):
        TermIndex.from_files({**files, "text.safetensors": save(arrays)}, "text")


@pytest.mark.parametrize(
    ("array", "kind"), [("tokens", np.float32), ("indices", np.uint32), ("data", np.float64)]
)
def test_numbers_of_another_kind_are_refused(array: str, kind: type) -> None:
    files = TERMS.to_files("text")
    arrays = load(files["text.safetensors"])
    arrays[array] = arrays[array].astype(kind)
    with pytest.raises(ValueError, match="kind"):
        TermIndex.from_files({**files, "text.safetensors": save(arrays)}, "text")


@pytest.mark.parametrize(
    "words", [b'["a","b"]', b'["a","b","b"]', b'["a","b",3]', b'{"a":1}', b"1"]
)
def test_words_that_are_not_those_of_the_postings_are_refused(words: bytes) -> None:
    with pytest.raises(ValueError):
        TermIndex.from_files({**TERMS.to_files("text"), "text.json": words}, "text")


def test_the_chunks_of_a_word_rise_as_coverage_relies_on() -> None:
    source = np.random.default_rng(0)
    index = TermIndex.build([[f"w{n}" for n in source.integers(0, 30, 9)] for _ in range(500)])
    for start, end in pairwise(index.postings["indptr"]):
        assert (np.diff(index.postings["indices"][start:end]) > 0).all()
