"""The seam between whoever needs vectors of texts and whoever makes them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from core.errors import Unavailable

FloatArray = npt.NDArray[np.floating]


def text_digest(text: str) -> str:
    """What a vector is remembered by: SHA-256 of the text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def not_loaded(error: Exception) -> Unavailable:
    """For whatever a library raises where it, or a file of its model, is not there."""
    return Unavailable(
        "RUNG-EMBEDDER-LOAD",
        f"the embedder does not load ({type(error).__name__}: {error})",
        way_out="Install what it needs here; jobs that failed by it: `rung jobs retry`.",
    )


class TextEmbedder(Protocol):
    @property
    def fingerprint(self) -> str:
        """Names the space of the vectors; two embedders share one only if they agree in it."""
        ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n texts, dimensions)."""
        ...


class VectorCache(Protocol):
    """Vectors that were made before, by the embedder's fingerprint and the digest of their text."""

    def known(self, fingerprint: str, digests: Sequence[str]) -> Mapping[str, FloatArray]:
        """Those of `digests` that are kept, each of shape (dimensions,), float32."""
        ...

    def keep(self, fingerprint: str, vectors: Mapping[str, FloatArray]) -> None:
        """One that is kept already stays as it is."""
        ...
