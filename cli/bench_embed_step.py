"""One step of `rung bench embed`, in a process of its own, so that its peak is of it alone.

    python -m cli.bench_embed_step '{"step": "embed", "folder": ..., ...}'

The figures go to standard output as JSON, progress to standard error as lines of two numbers.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.embedding import FloatArray, TextEmbedder, VectorCache
    from rankers.terms import IntArray

PLAIN_BATCH = 32
DEPTH = 100
WARM_UP = "the first call lets the library choose its kernels"
COSINE_PLACES = 6  # as in rankers.index: beyond them a cosine says nothing


def main(order: Mapping[str, Any]) -> dict[str, Any]:
    """`ndcg` of each question in their order; of every other step its seconds and its peak."""
    folder = Path(order["folder"])
    if order["step"] == "ndcg":
        return _ndcg(order, folder)
    texts = json.loads((folder / f"{order['texts']}.json").read_text("utf-8"))
    texts = texts[order["start"] : order["stop"]]
    work = _plain(texts, order) if order["step"] == "plain" else _embedding(texts, order, folder)
    started = time.monotonic()
    work()
    ended = time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"n": len(texts), "started": started, "ended": ended, "peak_mb": round(peak)}


def _embedding(texts: list[str], order: Mapping[str, Any], folder: Path) -> Callable[[], object]:
    from rankers.embed_new import embed_new

    embedder, cache = _embedder(order, folder), _cache(order, folder)
    embedder.encode([WARM_UP])
    return lambda: embed_new(texts, embedder, cache, _told)


def _plain(texts: list[str], order: Mapping[str, Any]) -> Callable[[], object]:
    """As one would call the library without Rung; `sorted`: all in one call, which it sorts."""
    from sentence_transformers import SentenceTransformer

    from rankers import minilm

    model = SentenceTransformer(str(minilm.folder()), device="cpu", local_files_only=True)

    def encode(part: list[str]) -> None:
        model.encode(part, batch_size=PLAIN_BATCH, show_progress_bar=False)

    def in_order() -> None:
        for start in range(0, len(texts), PLAIN_BATCH):
            encode(texts[start : start + PLAIN_BATCH])
            _told(min(start + PLAIN_BATCH, len(texts)), len(texts))

    encode([WARM_UP])
    return (lambda: encode(texts)) if order["sorted"] else in_order


def _ndcg(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Of dense retrieval over whole documents; vectors that the bench made before are reused."""
    from lab.ranking_metrics import figures_by_query
    from rankers.embed_new import embed_new

    collection = json.loads((folder / "collection.json").read_text("utf-8"))
    names = list(collection["documents"])
    embedder, cache = _embedder(order, folder), _cache(order, folder)
    documents = embed_new(list(collection["documents"].values()), embedder, cache, _told)
    questions = embed_new(list(collection["questions"].values()), embedder, cache)
    runs = {
        question: [names[place] for place in _nearest(documents, vector)]
        for question, vector in zip(collection["questions"], questions, strict=True)
    }
    values = figures_by_query(runs, collection["relevance"], ["ndcg@10"])["ndcg@10"]
    return {"ndcg": [float(value) for value in values], "fingerprint": embedder.fingerprint}


def _nearest(documents: "FloatArray", vector: "FloatArray") -> "IntArray":
    cosines = np.round(documents.astype(np.float64) @ vector, COSINE_PLACES)
    return np.argsort(-cosines, kind="stable")[:DEPTH]


def _embedder(order: Mapping[str, Any], folder: Path) -> "TextEmbedder":
    from rankers.open_embedder import open_embedder

    return open_embedder(order["backend"], threads=order["threads"], models=folder / "models")


def _cache(order: Mapping[str, Any], folder: Path) -> "VectorCache":
    from core.clock import SystemClock
    from core.store import Store

    store = Store.open(f"sqlite:///{folder / 'bench.db'}", SystemClock())
    return store.vectors(order["tenant"])


def _told(done: int, total: int) -> None:
    print(done, total, file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
