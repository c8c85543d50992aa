"""What comes out of the store is what was put in, or a refusal before any parser sees it."""

import hashlib
import json
import os
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.artifacts import ArtifactStore, under
from core.errors import CorruptArtifact, ForeignArtifact, NotFound, Unavailable

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


def test_some_files_are_read_without_the_others(tmp_path: Path) -> None:
    artifact_id = store(tmp_path).put("t", "release", FILES)
    heavy = hashlib.sha256(FILES["part/weights.bin"]).hexdigest()
    (tmp_path / "t" / "blobs" / heavy[:2] / heavy).write_bytes(b"not read")
    artifact = store(tmp_path).get("t", artifact_id, "release", only=["model.txt"])
    assert dict(artifact.files) == {"model.txt": FILES["model.txt"]}
    with pytest.raises(CorruptArtifact):
        store(tmp_path).get("t", artifact_id, "release", only=["part/weights.bin"])


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
        other_key = path.suffix == ".sig" and re.fullmatch(b"[0-9a-f]{64}", path.read_bytes())
        told = "SIGNATURE" if other_key else "CORRUPT"
        assert caught.value.code == f"RUNG-ARTIFACT-{told}"
        path.write_bytes(good)
    assert store(tmp_path).get("t", artifact_id, "release")


def test_a_manifest_made_without_the_key_is_refused(tmp_path: Path) -> None:
    forged = ArtifactStore(tmp_path, b"another key").put("t", "release", FILES)
    with pytest.raises(ForeignArtifact, match="another key"):
        store(tmp_path).get("t", forged, "release")
    unsigned = ArtifactStore(tmp_path / "u").put("t", "release", FILES)
    with pytest.raises(CorruptArtifact, match="signature is none") as caught:
        store(tmp_path / "u").get("t", unsigned, "release")
    assert not isinstance(caught.value, ForeignArtifact)  # no other process can read it either


@pytest.mark.parametrize("part", ["manifests/*.json", "manifests/*.sig", "blobs/*/*"])
def test_what_cannot_be_reached_is_neither_lost_nor_broken(tmp_path: Path, part: str) -> None:
    artifact_id = store(tmp_path).put("t", "release", FILES)
    path = next((tmp_path / "t").glob(part))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(path)  # as a share that is away answers: no such file is not what it says
    with pytest.raises(Unavailable) as caught:
        store(tmp_path).get("t", artifact_id, "release")
    assert (caught.value.code, caught.value.retryable) == ("RUNG-ARTIFACT-READ", True)
    path.unlink()
    (tmp_path / "elsewhere").rename(path)
    assert store(tmp_path).get("t", artifact_id, "release")


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


# --- what is old and nobody's

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def age(root: Path) -> None:
    """As if every file had been written two days ago."""
    then = (NOW - 2 * DAY).timestamp()
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def sweep(root: Path, *named: str) -> int:
    return store(root).sweep("t", "index", named=named, before=NOW - DAY)


def contents(root: Path) -> set[bytes]:
    return {path.read_bytes() for path in root.rglob("blobs/*/*")}


def test_a_sweep_removes_what_is_not_named_and_the_files_that_it_alone_held(tmp_path: Path) -> None:
    named = store(tmp_path).put("t", "index", {"a": b"shared", "b": b"named"})
    lost = store(tmp_path).put("t", "index", {"a": b"shared", "b": b"lost"})
    other = store(tmp_path).put("t", "release", {"a": b"of another kind"})
    of_other_tenant = store(tmp_path).put("u", "index", {"a": b"lost"})
    assert sweep(tmp_path, named) == 0  # all are young
    age(tmp_path)
    assert sweep(tmp_path, named) == 1
    with pytest.raises(NotFound):
        store(tmp_path).get("t", lost, "index")
    for tenant, artifact, kind in (
        ("t", named, "index"),
        ("t", other, "release"),
        ("u", of_other_tenant, "index"),
    ):
        assert store(tmp_path).get(tenant, artifact, kind)
    assert contents(tmp_path / "t") == {b"shared", b"named", b"of another kind"}
    assert len(list((tmp_path / "t" / "manifests").iterdir())) == 4  # each with its signature


def test_a_sweep_removes_what_killed_writers_left(tmp_path: Path) -> None:
    """A half-written file, a blob without its manifest, a signature without its manifest."""
    kept = store(tmp_path).put("t", "index", {"a": b"kept"})
    blob = next(tmp_path.rglob("blobs/*/*"))
    manifests = tmp_path / "t" / "manifests"
    left = (blob.with_name("tmpabcd"), blob.with_name("f" * 64), manifests / "tmpabcd")
    left += (manifests / f"{'f' * 64}.sig",)
    for path in left:
        path.write_bytes(b"left")
    sweep(tmp_path, kept)
    assert all(path.exists() for path in left)  # they are young, and may be being written
    age(tmp_path)
    sweep(tmp_path, kept)
    assert not any(path.exists() for path in left)
    assert store(tmp_path).get("t", kept, "index")


def test_what_is_put_again_or_kept_is_young_again(tmp_path: Path) -> None:
    """Whoever did it is about to name it, and has not yet."""
    put, kept = (store(tmp_path).put("t", "index", {"a": text}) for text in (b"put", b"kept"))
    age(tmp_path)
    assert store(tmp_path).put("t", "index", {"a": b"put"}) == put
    store(tmp_path).keep("t", kept)
    assert sweep(tmp_path) == 0
    assert store(tmp_path).get("t", put, "index") and store(tmp_path).get("t", kept, "index")
    with pytest.raises(NotFound):
        store(tmp_path).keep("t", "f" * 64)


def test_where_a_manifest_cannot_be_read_nothing_is_removed(tmp_path: Path) -> None:
    """Nobody knows what it holds, and it may be restored."""
    broken, lost = (store(tmp_path).put("t", "index", {"a": text}) for text in (b"1", b"2"))
    manifest = tmp_path / "t" / "manifests" / f"{broken}.json"
    manifest.write_bytes(b"{}")
    age(tmp_path)
    with pytest.raises(CorruptArtifact, match="manifest"):
        sweep(tmp_path, broken)
    assert store(tmp_path).get("t", lost, "index")


def test_a_folder_is_of_the_database_that_first_names_what_lies_in_it(tmp_path: Path) -> None:
    assert store(tmp_path).tenants() == ()
    lies = store(tmp_path).put("t", "index", {"a": b"1"})
    assert store(tmp_path).tenants() == ("t",)

    def asked(database: str, *named: str) -> bool | None:
        return store(tmp_path).belongs_to("t", database, named=named)

    assert (asked("two"), asked("two", "f" * 64)) == (None, None)
    assert (asked("one", lies), asked("one"), asked("two", lies)) == (True, True, False)


def test_a_folder_that_cannot_be_swept_says_so(tmp_path: Path) -> None:
    lies = store(tmp_path).put("t", "index", {"a": b"1"})
    (tmp_path / "t" / "database").mkdir()
    with pytest.raises(Unavailable, match="cannot be used"):
        store(tmp_path).belongs_to("t", "one", named=[lies])
    (tmp_path / "t" / "manifests" / f"{lies}.json").unlink()
    (tmp_path / "t" / "manifests" / f"{lies}.json").mkdir()
    with pytest.raises(Unavailable, match="cannot be used"):
        sweep(tmp_path)
