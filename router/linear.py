"""TF-IDF and logistic regression as plain arrays: scikit-learn's probabilities, without it.

Each text is worked out by itself, so that an answer does not depend on what else is in the batch.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray

WORD = re.compile(r"\b\w\w+\b")  # scikit-learn's own token pattern


@dataclass(frozen=True, kw_only=True)
class TermSpace:
    """Sublinear TF-IDF of unit length over word or character n-grams (within words)."""

    of: Literal["word", "char_wb"]
    lengths: tuple[int, int]  # of the n-grams, shortest and longest
    terms: tuple[str, ...]  # sorted, each once
    idf: npt.NDArray[np.float32]  # (terms,)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    def weigh(self, text: str) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Places of the known terms, and their weights."""
        grams = ngrams(text.lower(), self.of, self.lengths)
        counts = Counter(place for g in grams if (place := self._place.get(g)) is not None)
        places = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
        tf = 1 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))
        weights = tf * self.idf[places].astype(np.float64)
        length = np.sqrt(weights @ weights)
        return places, weights / length if length else weights


def ngrams(text: str, of: Literal["word", "char_wb"], lengths: tuple[int, int]) -> Iterator[str]:
    """As scikit-learn's analyzers cut a lowered text."""
    shortest, longest = lengths
    if of == "word":
        words = WORD.findall(text)
        for n in range(shortest, longest + 1):
            for start in range(len(words) - n + 1):
                yield " ".join(words[start : start + n])
        return
    for word in text.split():
        padded = f" {word} "
        for n in range(shortest, longest + 1):
            if n >= len(padded):
                yield padded  # a word shorter than n counts once, as a whole
                break
            for start in range(len(padded) - n + 1):
                yield padded[start : start + n]


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """Multinomial logistic regression; its logits are free up to a shift of the whole row."""

    weights: npt.NDArray[np.float32]  # (features, classes)
    bias: npt.NDArray[np.float64]  # (classes,)

    def of_vectors(self, vectors: FloatArray) -> FloatArray:
        """Logits (n, classes) of dense rows (n, features)."""
        rows = np.asarray(vectors, dtype=np.float64)
        return cast(FloatArray, rows @ self._double + self.bias)

    @cached_property
    def _double(self) -> FloatArray:
        return self.weights.astype(np.float64)

    def of_sparse(self, places: npt.NDArray[np.intp], values: FloatArray) -> FloatArray:
        """Logits (classes,) of one sparse row. Only its rows of the weights become doubles."""
        return cast(FloatArray, values @ self.weights[places].astype(np.float64) + self.bias)


@dataclass(frozen=True, kw_only=True)
class TextClassifier:
    """The spaces side by side under one linear classifier."""

    spaces: tuple[TermSpace, ...]
    linear: LinearClassifier

    def of_texts(self, texts: Sequence[str]) -> FloatArray:
        """Logits (n, classes)."""
        logits = np.empty((len(texts), len(self.linear.bias)))
        for row, text in enumerate(texts):
            parts = [space.weigh(text) for space in self.spaces]
            starts = zip(parts, self._starts, strict=True)
            places = np.concatenate([places + start for (places, _), start in starts])
            weights = np.concatenate([weights for _, weights in parts])
            logits[row] = self.linear.of_sparse(places, weights)
        return logits

    @cached_property
    def _starts(self) -> list[int]:
        sizes = [len(space.terms) for space in self.spaces]
        return [sum(sizes[:place]) for place in range(len(sizes))]
