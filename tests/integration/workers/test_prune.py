"""Old index files go, those of the index in force and of trained versions stay."""

import json
import os
import time
from pathlib import Path

import pytest

from core.artifacts import FRESH_S, ArtifactStore
from core.embedding import text_digest
from core.errors import NotFound
from core.store import Store
from tests.fakes.clock import FixedClock
from tests.fakes.corpus_world import CorpusWorld
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import SECRET, settings_for
from workers.prune import KEPT, prune_corpora


def age(folder: Path) -> None:
    """As if every file had been written long ago."""
    long_ago = time.time() - 2 * FRESH_S
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))


def test_old_indexes_are_removed_with_their_files(
    store: Store, clock: FixedClock, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    world = CorpusWorld(store, clock, tmp_path)
    world.artifacts = ArtifactStore(settings.artifacts, SECRET.get_secret_value().encode())
    runner = world.runner_of(HashingEmbedder)
    made = []
    for n in range(KEPT + 3):
        world.put({"a": f"text {n}", "b": "always the same"})
        world.run(runner)
        row = world.row()
        assert row is not None
        made.append(row.artifact_id)
    assert prune_corpora(settings, store) == 0  # a process may be loading one
    clock.advance(hours=2)
    age(settings.artifacts)
    assert prune_corpora(settings, store) == 3
    assert prune_corpora(settings, store) == 0
    for artifact in made[:3]:
        with pytest.raises(NotFound):
            world.artifacts.get("acme", artifact, "index")
    for artifact in made[3:]:
        assert world.artifacts.get("acme", artifact, "index").files
    blobs = {path.name for path in settings.artifacts.rglob("blobs/*/*")}
    held = {
        entry.name
        for artifact in made[3:]
        for entry in blobs_of(settings.artifacts / "acme", artifact)
    }
    assert blobs == held


def blobs_of(folder: Path, artifact: str) -> list[Path]:
    manifest = json.loads((folder / "manifests" / f"{artifact}.json").read_bytes())
    return [Path(entry["sha256"]) for entry in manifest["files"].values()]


def test_a_file_that_was_just_asked_for_stays(tmp_path: Path) -> None:
    """Another process may have put it and not yet written its manifest."""
    artifacts = ArtifactStore(tmp_path)
    old = artifacts.put("acme", "index", {"a": b"shared", "b": b"alone"}, {"n": 1})
    age(tmp_path)
    artifacts.put("acme", "index", {"a": b"shared"}, {"n": 2})
    (tmp_path / "acme" / "manifests").joinpath(f"{old}.sig").write_bytes(b"")
    assert artifacts.remove("acme", [old, "f" * 64, "no id"]) == 1
    left = {path.read_bytes() for path in tmp_path.rglob("blobs/*/*")}
    assert left == {b"shared"}
    assert len(list((tmp_path / "acme" / "manifests").iterdir())) == 1


def test_a_vector_goes_with_the_last_text_that_it_was_of(
    store: Store, clock: FixedClock, tmp_path: Path
) -> None:
    """That of a deleted text, and that of an edited one; not before the next index is in force."""
    world = CorpusWorld(store, clock, tmp_path)
    world.put({"a": "a text", "b": "a second", "c": "another"})
    world.run()
    digests = {chunk.document: text_digest(chunk.whole) for chunk in world.index().chunks}

    def kept() -> set[str]:
        known = store.vectors("acme").known(HashingEmbedder().fingerprint, list(digests.values()))
        return {name for name, digest in digests.items() if digest in known}

    world.delete("a")
    world.put({"b": "a second, edited"})
    assert kept() == {"a", "b", "c"}
    world.run()
    assert kept() == {"c"}
    assert set(world.held()) == {"b", "c"}
    world.delete("b", "c")
    world.run()
    assert kept() == set()
