"""An embedder that remembers: the sentences of a corpus come back with every question about it."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from core.embedding import FloatArray, TextEmbedder

MOST = 20_000  # texts; with 384 float32 each some 31 MB


class RememberingEmbedder:
    """Safe between threads. The least recently used vectors are forgotten beyond `most`."""

    def __init__(self, embedder: TextEmbedder, *, most: int = MOST) -> None:
        self._embedder = embedder
        self._most = most
        self._known: OrderedDict[str, FloatArray] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n, dimensions)."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
            for text in found:
                self._known.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found |= dict(zip(new, self._embedder.encode(new), strict=True))
            with self._lock:
                self._known |= {text: found[text].copy() for text in new}  # not the whole batch
                while len(self._known) > self._most:
                    self._known.popitem(last=False)
        return np.array([found[text] for text in texts]) if texts else self._embedder.encode([])
