"""A VectorSearch that misses what it is told to: the graph that was built badly."""

import numpy as np

from core.embedding import FloatArray
from rankers.terms import IntArray
from rankers.vector_search import FlatSearch


class ForgetfulSearch:
    """Finds no row that is a multiple of `every`, and what is next in its place."""

    kind = "flat"

    def __init__(self, vectors: FloatArray, *, every: int) -> None:
        self._flat = FlatSearch.over(vectors)
        self._every = every

    @property
    def vectors(self) -> FloatArray:
        return self._flat.vectors

    def nearest(self, vector: FloatArray, count: int) -> IntArray:
        rows = self._flat.nearest(vector, len(self.vectors))
        kept: IntArray = rows[np.mod(rows, self._every) != 0][:count]
        return kept

    def to_files(self) -> dict[str, bytes]:
        return self._flat.to_files()
