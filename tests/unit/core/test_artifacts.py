"""What comes out of the store is what was put in, or a refusal before any parser sees it."""

import json
import random
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore, under
from core.errors import CorruptArtifact, NotFound

FILES = {"model.txt": b"tree\n" * 50, "part/weights.bin": bytes(range(256))}
KEY = b"k" * 32


def store(root: Path) -> ArtifactStore:
    return ArtifactStore(root, KEY)


def test_the_same_content_has_the_same_id_and_comes_back(tmp_path: Path) -> None:
    one = store(tmp_path / "a").put("t", "release", FILES, {"n": 1})
    two = store(tmp_path / "b").put("t", "release", dict(reversed(FILES.items())), {"n": 1})
    assert one == two
    artifact = store(tmp_path / "a").get("t", one, "release")
    assert dict(artifact.files) == FILES
    assert under(artifact.files, "part") == {"weights.bin": FILES["part/weights.bin"]}
    assert one != store(tmp_path / "a").put("t", "release", FILES, {"n": 2})


def test_a_thousand_corruptions_are_all_refused(tmp_path: Path) -> None:
    artifact_id = store(tmp_path).put("t", "release", FILES)
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(paths) == 4  # two blobs, the manifest and its signature
    generator = random.Random(0)
    for _ in range(1000):
        path = generator.choice(paths)
        good = path.read_bytes()
        bad = bytearray(good)
        place = generator.randrange(len(bad))
        bad[place] ^= 1 << generator.randrange(8)
        cut = generator.random() < 0.2
        path.write_bytes(bytes(bad[:place] if cut else bad))
        with pytest.raises(CorruptArtifact) as caught:
            store(tmp_path).get("t", artifact_id, "release")
        assert caught.value.code == "RUNG-ARTIFACT-CORRUPT"
        path.write_bytes(good)
    assert store(tmp_path).get("t", artifact_id, "release")


def test_a_manifest_made_without_the_key_is_refused(tmp_path: Path) -> None:
    forged = ArtifactStore(tmp_path, b"another key").put("t", "release", FILES)
    with pytest.raises(CorruptArtifact, match="signature"):
        store(tmp_path).get("t", forged, "release")
    unsigned = ArtifactStore(tmp_path / "u").put("t", "release", FILES)
    with pytest.raises(CorruptArtifact, match="signature"):
        store(tmp_path / "u").get("t", unsigned, "release")


def test_an_artifact_of_another_kind_or_tenant_is_not_taken(tmp_path: Path) -> None:
    artifact_id = store(tmp_path).put("t", "release", FILES)
    with pytest.raises(CorruptArtifact, match="no index"):
        store(tmp_path).get("t", artifact_id, "index")
    with pytest.raises(NotFound):
        store(tmp_path).get("other", artifact_id, "release")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "/x"])
def test_an_id_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        store(tmp_path).get("t", name, "release")


@pytest.mark.parametrize("tenant", ["..", "a/b", "", "A", "a" * 64])
def test_a_tenant_is_never_a_path(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        store(tmp_path).put(tenant, "release", FILES)


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a b", ""])
def test_a_file_name_is_never_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        store(tmp_path).put("t", "release", {name: b""})


def test_a_blob_that_was_lost_is_named(tmp_path: Path) -> None:
    artifact_id = store(tmp_path).put("t", "release", FILES)
    manifest = json.loads((tmp_path / "t/manifests" / f"{artifact_id}.json").read_bytes())
    digest = manifest["files"]["model.txt"]["sha256"]
    (tmp_path / "t/blobs" / digest[:2] / digest).unlink()
    with pytest.raises(CorruptArtifact, match=r"model\.txt is missing"):
        store(tmp_path).get("t", artifact_id, "release")
