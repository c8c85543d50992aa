"""MiniLM without torch: near its vectors, in a space of its own, whatever stands beside a text."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidSettings
from rankers.minilm import DIMENSIONS
from rankers.onnx_embedder import OnnxEmbedder
from rankers.onnx_model import MODEL, onnx_model
from rankers.open_embedder import EMBEDDERS, fingerprint_of, open_embedder
from rankers.torch_embedder import TorchEmbedder

TEXTS = [
    "I lost my card",
    "Where is the transfer that I sent to my mother in Spain last Tuesday?",
    "",
    "café, naïve, 北京 and 12.50 EUR",
    "a word " * 400,  # longer than is read
    *(f"question {n} about " + "a lost card and its fee " * (n % 5) for n in range(12)),
]


def test_full_precision_is_what_torch_computes(models: Path, minilm: TorchEmbedder) -> None:
    ours = OnnxEmbedder(precision="fp32", models=models, threads=1).encode(TEXTS)
    theirs = minilm.encode(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_integers_keep_the_meaning_and_unit_length(
    int8: OnnxEmbedder, minilm: TorchEmbedder
) -> None:
    ours, theirs = int8.encode(TEXTS), minilm.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    cosines = np.sum(ours * theirs, axis=1)
    assert cosines.min() > 0.97 and cosines.mean() > 0.99
    assert np.abs(ours - theirs).max() > 1e-4  # it is another space, and says so:
    assert int8.fingerprint != minilm.fingerprint


def test_neither_order_nor_company_moves_an_integer_vector(int8: OnnxEmbedder) -> None:
    vectors = int8.encode(TEXTS)
    order = list(range(len(TEXTS)))
    random.Random(0).shuffle(order)
    np.testing.assert_array_equal(int8.encode([TEXTS[row] for row in order]), vectors[order])
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(int8.encode([text])[0], vector, atol=2e-6)


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "é" * 5000])
def test_any_text_has_a_finite_unit_vector(int8: OnnxEmbedder, text: str) -> None:
    (vector,) = int8.encode([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_vectors(int8: OnnxEmbedder) -> None:
    assert int8.encode([]).shape == (0, DIMENSIONS)


def test_a_changed_or_lost_model_is_made_again_to_the_byte(
    int8: OnnxEmbedder, models: Path
) -> None:
    (path,) = models.glob(f"onnx-int8*/{MODEL}")
    whole = path.read_bytes()
    assert onnx_model("int8", models) == whole
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert onnx_model("int8", models) == whole == path.read_bytes()
    path.unlink()
    assert onnx_model("int8", models) == whole == path.read_bytes()
    assert {file.name for file in path.parent.iterdir()} == {MODEL, "manifest.json"}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file stands in the way")
    with pytest.raises(InvalidSettings) as refused:
        onnx_model("int8", tmp_path / "models")
    assert refused.value.code == "RUNG-SETTING-HOME"


def test_it_loads_no_torch(int8: OnnxEmbedder, models: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from rankers.open_embedder import open_embedder\n"
        f"open_embedder('minilm-int8', threads=1, models=Path({str(models)!r})).encode(['a fee'])\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_every_name_opens_another_space(int8: OnnxEmbedder, models: Path) -> None:
    spaces = {open_embedder(name, threads=1, models=models).fingerprint for name in EMBEDDERS}
    assert len(spaces) == len(EMBEDDERS)
    assert spaces == {fingerprint_of(name) for name in EMBEDDERS}  # none is loaded for these
    with pytest.raises(InvalidSettings) as refused:
        open_embedder("minilm-int4", models=models)
    assert refused.value.code == "RUNG-SETTING-VALUE"


@pytest.mark.parametrize(("name", "needs"), [("minilm", "torch"), ("minilm-onnx", "onnxruntime")])
def test_what_is_not_installed_is_told_and_is_no_traceback(
    models: Path, name: str, needs: str
) -> None:
    code = (
        "import sys; from pathlib import Path; from core.errors import RungError\n"
        f"sys.modules[{needs!r}] = None\n"
        "from rankers.open_embedder import open_embedder\n"
        f"try: open_embedder({name!r}, models=Path({str(models)!r}))\n"
        "except RungError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("RUNG-EMBEDDER-LOAD") and needs in done.stdout
