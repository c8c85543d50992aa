"""MiniLM through ONNX Runtime, in full precision or in integers; torch is never loaded for it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from core.embedding import FloatArray
from rankers import minilm
from rankers.onnx_graph import Precision
from rankers.onnx_model import onnx_fingerprint, onnx_model
from rankers.token_batches import token_batches

TOKENS_A_BATCH = 2_048  # eight full texts: the widest layer's 12 MB; 1,024 and 8,192 were slower
MOST_THREADS = 4  # as TorchEmbedder: a short text has too little work for more
ERRORS_ONLY = 3


class OnnxEmbedder:
    """all-MiniLM-L6-v2 in a space of its own: its vectors are never compared with torch's.

    `models` is the folder in which the model is kept once it is made. A worker that forks passes
    `threads=1`: a pool of threads does not survive a fork.
    """

    def __init__(self, *, precision: Precision, models: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        # A pool that spins while it waits takes the core from whoever works beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # it would keep the largest of every shape it has seen
        self._session = onnxruntime.InferenceSession(
            onnx_model(precision, models), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(minilm.folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(minilm.MOST_TOKENS)
        self._fingerprint = onnx_fingerprint(precision)

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, shape (n, 384); the order of the texts has no say in them."""
        clean = [minilm.without_lone_surrogates(text) for text in texts]
        unique = list(dict.fromkeys(clean))
        vectors = np.zeros((len(unique), minilm.DIMENSIONS), dtype=np.float32)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(unique)]
        for batch in token_batches(ids, budget=TOKENS_A_BATCH):
            (made,) = self._session.run(["vectors"], {"ids": batch.ids, "mask": batch.mask})
            vectors[list(batch.rows)] = made
        place = {text: row for row, text in enumerate(unique)}
        return vectors[[place[text] for text in clean]]
