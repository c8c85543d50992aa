"""The embedder of a name: what a setting, a worker and the bench all open the same way."""

from pathlib import Path
from typing import Literal

from core.embedding import TextEmbedder, not_loaded
from core.errors import InvalidSettings, RungError

EMBEDDERS = ("minilm", "minilm-onnx", "minilm-int8")


def open_embedder(name: str, *, threads: int | None = None, models: Path) -> TextEmbedder:
    """Loads what this embedder needs and no more: torch is not loaded for the ONNX ones.

    `models` is where a model that is made on this machine is kept. A process that forks passes
    `threads=1`. Raises InvalidSettings for a name that is not of EMBEDDERS, and Unavailable.
    """
    refuse_unknown(name)
    try:
        return _loaded(name, threads, models)
    except RungError:
        raise
    except Exception as error:
        raise not_loaded(error) from error


def _loaded(name: str, threads: int | None, models: Path) -> TextEmbedder:
    if name == "minilm":
        from rankers.torch_embedder import TorchEmbedder

        return TorchEmbedder(threads=threads)
    from rankers.onnx_embedder import OnnxEmbedder

    return OnnxEmbedder(precision=_precision(name), models=models, threads=threads)


def fingerprint_of(name: str) -> str:
    """Of what `open_embedder` would load, which is not loaded for it."""
    refuse_unknown(name)
    if name == "minilm":
        from rankers import minilm

        return minilm.fingerprint()
    from rankers.onnx_model import onnx_fingerprint

    return onnx_fingerprint(_precision(name))


def refuse_unknown(name: str) -> None:
    if name not in EMBEDDERS:
        raise InvalidSettings(
            "RUNG-SETTING-VALUE",
            f"there is no embedder '{name}'",
            way_out=f"Write one of {', '.join(EMBEDDERS)}.",
        )


def _precision(name: str) -> Literal["fp32", "int8"]:
    return "int8" if name == "minilm-int8" else "fp32"
