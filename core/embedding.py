"""The seam between whoever needs vectors of texts and whoever makes them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


class TextEmbedder(Protocol):
    @property
    def fingerprint(self) -> str:
        """Names the space of the vectors; two embedders share one only if they agree in it."""
        ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n texts, dimensions)."""
        ...
