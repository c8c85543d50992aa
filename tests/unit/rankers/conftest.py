"""Real models, loaded or made once for all tests of this folder: that takes seconds."""

from pathlib import Path

import pytest

from rankers.onnx_embedder import OnnxEmbedder
from rankers.torch_embedder import TorchEmbedder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def int8(models: Path) -> OnnxEmbedder:
    return OnnxEmbedder(precision="int8", models=models, threads=1)


@pytest.fixture(scope="session")
def minilm() -> TorchEmbedder:
    return TorchEmbedder(threads=1)
