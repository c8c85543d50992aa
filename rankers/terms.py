"""Which words stand in which chunk: BM25 scores, coverage of a query and its neighbouring pairs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt
from bm25s.tokenization import Tokenized
from safetensors import SafetensorError
from safetensors.numpy import load, save

from core.embedding import FloatArray

IntArray = npt.NDArray[np.integer]

# Anserini's defaults for SciFact in BEIR's flat setting are .9/.4; 1.2/.75 are Lucene's own.
K1, B = 1.2, 0.75


@dataclass(frozen=True, kw_only=True)
class TermIndex:
    """Postings of one field over n chunks. Built and loaded give the same scores.

    `tokens` holds the word ids of all chunks one after the other, chunk i from `starts[i]` on.
    """

    vocabulary: Mapping[str, int]
    tokens: IntArray
    starts: IntArray  # (n + 1,)
    postings: Mapping[str, npt.NDArray[Any]]  # bm25s' CSC matrix: data, indices, indptr

    @classmethod
    def build(cls, texts: Sequence[Sequence[str]]) -> "TermIndex":
        """`texts` are words of each chunk, in the chunks' order."""
        vocabulary = {w: i for i, w in enumerate(sorted({w for text in texts for w in text}))}
        ids = [[vocabulary[word] for word in text] for text in texts]
        scores: dict[str, npt.NDArray[Any]] = {
            "data": np.zeros(0, np.float32),
            "indices": np.zeros(0, np.int32),
            "indptr": np.zeros(1, np.int64),
        }
        if vocabulary:  # bm25s fails on a corpus without words
            bm25 = bm25s.BM25(method="lucene", k1=K1, b=B)
            # A copy: bm25s adds the empty word to what it is given.
            bm25.index(Tokenized(ids, dict(vocabulary)), show_progress=False)
            scores = {name: np.asarray(bm25.scores[name]) for name in scores}
        return cls(
            vocabulary=vocabulary,
            tokens=np.array([i for text in ids for i in text], dtype=np.int32),
            starts=np.cumsum([0, *map(len, ids)], dtype=np.int64),
            postings=scores,
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def scores(self, query: Sequence[str]) -> FloatArray:
        """BM25 of every chunk, shape (n,); a word that is twice in the query counts twice."""
        known = [self.vocabulary[word] for word in query if word in self.vocabulary]
        total = np.zeros(len(self), dtype=np.float32)
        for word in known:
            rows, data = self._posting(word)
            total[rows] += data
        return total

    def idf(self, word: str) -> float:
        """Lucene's; a word that no chunk has weighs most."""
        found = self.vocabulary.get(word)
        frequency = 0 if found is None else len(self._posting(found)[0])
        return float(np.log(1 + (len(self) - frequency + 0.5) / (frequency + 0.5)))

    def coverage(self, query: Sequence[str], rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Share of the query's distinct words that each of `rows` has, plain and by idf."""
        distinct = sorted(set(query))
        plain, weighted, total = np.zeros(len(rows)), np.zeros(len(rows)), 0.0
        for word in distinct:
            weight = self.idf(word)
            total += weight
            if word in self.vocabulary:
                has = np.isin(rows, self._posting(self.vocabulary[word])[0])
                plain += has
                weighted += weight * has
        return plain / max(len(distinct), 1), weighted / max(total, 1e-12)

    def pairs(self, query: Sequence[str], rows: IntArray) -> FloatArray:
        """Share of the query's neighbouring word pairs that stand as neighbours in each row."""
        size = len(self.vocabulary)
        known = {
            self.vocabulary[a] * size + self.vocabulary[b]
            for a, b in _neighbours(query)
            if a in self.vocabulary and b in self.vocabulary
        }
        if not known:
            return np.zeros(len(rows))
        lengths = self.starts[rows + 1] - self.starts[rows]
        owner = np.repeat(np.arange(len(rows)), lengths)
        places = np.arange(len(owner)) + np.repeat(self.starts[rows] - _before(lengths), lengths)
        words = self.tokens[places].astype(np.int64)
        pairs = words[:-1] * size + words[1:]
        hit = np.isin(pairs, sorted(known)) & (owner[:-1] == owner[1:])
        distinct = np.unique(np.stack([owner[:-1][hit], pairs[hit]]), axis=1)[0]
        return np.bincount(distinct, minlength=len(rows)) / len(_neighbours(query))

    def lengths(self, rows: IntArray) -> FloatArray:
        """Words in each of `rows`."""
        counts: FloatArray = (self.starts[rows + 1] - self.starts[rows]).astype(np.float64)
        return counts

    def to_files(self, name: str) -> dict[str, bytes]:
        ordered = sorted(self.vocabulary, key=lambda word: self.vocabulary[word])
        arrays = {"tokens": self.tokens, "starts": self.starts, **self.postings}
        return {
            f"{name}.json": json.dumps(ordered).encode(),
            f"{name}.safetensors": save({k: np.ascontiguousarray(a) for k, a in arrays.items()}),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], name: str) -> "TermIndex":
        """Raises KeyError or ValueError where the files are not those of an index."""
        try:
            arrays = load(files[f"{name}.safetensors"])
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        ordered = json.loads(files[f"{name}.json"])
        if len(ordered) != len(arrays["indptr"]) - 1:
            raise ValueError("the words are not those of the postings")
        return cls(
            vocabulary={word: place for place, word in enumerate(ordered)},
            tokens=arrays.pop("tokens"),
            starts=arrays.pop("starts"),
            postings=arrays,
        )

    def _posting(self, word: int) -> tuple[IntArray, FloatArray]:
        start, end = self.postings["indptr"][word : word + 2]
        return self.postings["indices"][start:end], self.postings["data"][start:end]


def _neighbours(query: Sequence[str]) -> set[tuple[str, str]]:
    return set(pairwise(query))


def _before(lengths: IntArray) -> IntArray:
    """For each part, the summed length of those before it."""
    sums: IntArray = np.cumsum(lengths) - lengths
    return sums
