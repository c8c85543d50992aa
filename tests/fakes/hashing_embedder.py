"""A TextEmbedder without a model: hashed words, so that shared words mean nearness."""

import re
import zlib
from collections.abc import Sequence

import numpy as np

from core.embedding import FloatArray


class HashingEmbedder:
    """Unit vectors of word counts by CRC-32; a text without words gets the first axis."""

    def __init__(self, dimensions: int = 64, *, salt: str = "") -> None:
        self.dimensions = dimensions
        self.salt = salt
        self.asked = 0

    @property
    def fingerprint(self) -> str:
        return f"hashing/{self.dimensions}/{self.salt}"

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.asked += len(texts)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, zlib.crc32((self.salt + word).encode()) % self.dimensions] += 1
            if not vectors[row].any():
                vectors[row, 0] = 1
        unit: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
