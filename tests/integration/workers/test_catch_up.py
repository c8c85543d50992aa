"""An index that is behind, lost or unreadable is built again, though no change asks for it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore
from core.errors import Unavailable
from core.store.indexes import NewIndex, add_index
from rankers.indexed_texts import INDEX
from tests.fakes.corpus_world import PLACE, WHICH, CorpusWorld, undisturbed
from tests.fakes.hashing_embedder import HashingEmbedder
from workers.catch_up import CatchUp, catch_up

OWN, OTHER = HashingEmbedder().fingerprint, HashingEmbedder(salt="other ").fingerprint


class Unwritable(ArtifactStore):
    def put(self, *words: Any, **named: Any) -> str:
        raise PermissionError("the folder cannot be written")


def looks(world: CorpusWorld, fingerprint: str = OWN) -> CatchUp:
    return CatchUp(world.store, world.artifacts, lambda: fingerprint)


def builds(world: CorpusWorld) -> int:
    return len(world.jobs("build_index"))


def manifest(world: CorpusWorld, tmp_path: Path) -> Path:
    row = world.row()
    assert row is not None
    return tmp_path / "artifacts" / WHICH.tenant_id / "manifests" / f"{row.artifact_id}.json"


def test_what_is_whole_or_waits_is_left_alone(world: CorpusWorld) -> None:
    look = looks(world)
    look.run()
    world.put({"a": "one"})
    look.run()
    world.runner.run_next()
    look.run()  # its build waits
    world.run()
    world.delete("a")
    world.run()
    before = builds(world)
    for _ in range(3):
        look.run()  # and an empty corpus has nothing to be built of
    assert builds(world) == before


def test_a_build_that_failed_is_made_up_for(world: CorpusWorld, tmp_path: Path) -> None:
    world.put({"a": "one"})
    world.run()
    writable, world.artifacts = world.artifacts, Unwritable(tmp_path / "artifacts", b"key")
    broken = world.runner_of(HashingEmbedder)
    world.put({"b": "two"})
    world.run(broken)
    world.artifacts = writable
    look = looks(world)
    assert world.jobs("build_index")[-1].state == "failed"
    assert set(world.held()) == {"a"} and world.states() == {"ready": 2}
    for number in range(3):  # one build a look, however often it fails
        look.run()
        look.run()
        assert builds(world) == 3 + number
        world.run(broken)
    look.run()
    world.run()
    assert set(world.held()) == {"a", "b"}
    before = builds(world)
    look.run()
    assert builds(world) == before


def test_a_first_build_that_was_cancelled_is_made_up_for(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.runner.run_next()
    (build,) = world.jobs("build_index")
    world.ledger.cancel(WHICH.tenant_id, build.id)
    looks(world).run()
    world.run()
    assert world.held() == {"a": "one"}


@pytest.mark.parametrize("lost", ["manifest", "changed", "signature", "blobs"])
def test_an_index_whose_files_are_lost_is_built_again(
    world: CorpusWorld, tmp_path: Path, lost: str
) -> None:
    world.put({"a": "one"})
    world.run()
    path = manifest(world, tmp_path)
    if lost == "manifest":
        path.unlink()
    elif lost == "changed":
        path.write_bytes(b"{}")
    elif lost == "signature":
        path.with_suffix(".sig").unlink()
    else:
        for blob in (tmp_path / "artifacts" / WHICH.tenant_id / "blobs").glob("*/*"):
            blob.unlink()
    one, two = looks(world), looks(world)
    for look in (one, two, one):  # of several workers
        look.run()
    assert builds(world) == 2
    world.run()
    assert world.held() == {"a": "one"}
    row = world.row()
    assert row is not None and row.revision == world.store.corpus_state(*PLACE).revision == 2
    for look in (one, two):
        look.run()
    assert builds(world) == 2


def test_by_hand_it_is_built_again_too(world: CorpusWorld, tmp_path: Path) -> None:
    world.put({"a": "one"})
    world.run()
    assert not catch_up(world.store, world.artifacts, WHICH, OWN)
    manifest(world, tmp_path).unlink()
    assert catch_up(world.store, world.artifacts, WHICH, OWN)
    world.run()
    assert world.held() == {"a": "one"}


def test_an_index_of_a_version_that_is_not_read_is_built_again(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.run()
    files = undisturbed({"a": "one"}).to_files()
    files["index.json"] = json.dumps(
        {**json.loads(files["index.json"]), "identity": "old"}
    ).encode()
    old = world.artifacts.put(WHICH.tenant_id, INDEX, files)
    with world.store.writing() as connection:
        new = NewIndex(artifact_id=old, fingerprint=OWN)
        add_index(connection, WHICH, new, revision=1, through=0, now=world.store.now())
    looks(world).run()
    world.run()
    assert world.held() == {"a": "one"}


def test_what_another_key_has_signed_is_left_alone(
    world: CorpusWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With two values of RUNG_SECRET, workers would build in turn what the other refuses."""
    world.put({"a": "one"})
    world.run()
    theirs = ArtifactStore(tmp_path / "artifacts", b"another key")
    with caplog.at_level(logging.WARNING, "rung.workers"):
        CatchUp(world.store, theirs, lambda: OWN).run()
    assert builds(world) == 1 and "is left alone" in caplog.text


def test_beneath_a_mount_point_nothing_is_built(
    world: CorpusWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.put({"a": "one"})
    world.run()
    (tmp_path / "artifacts").rename(tmp_path / "unmounted")
    (tmp_path / "artifacts").mkdir()
    with caplog.at_level(logging.WARNING, "rung.workers"):
        looks(world).run()
    assert builds(world) == 1 and "mount their folder" in caplog.text
    assert catch_up(world.store, world.artifacts, WHICH, OWN)  # by hand it is


def test_an_index_that_cannot_be_reached_is_no_lost_one(world: CorpusWorld, tmp_path: Path) -> None:
    world.put({"a": "one"})
    world.run()
    path = manifest(world, tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(path)
    with pytest.raises(Unavailable, match="cannot be used"):
        catch_up(world.store, world.artifacts, WHICH, OWN)
    looks(world).run()
    assert builds(world) == 1


def test_no_worker_begins_a_cut_over_and_none_is_left_behind_by_one(
    world: CorpusWorld, tmp_path: Path
) -> None:
    world.put({"a": "one"})
    world.run()
    looks(world, OTHER).run()
    assert builds(world) == 1
    assert catch_up(world.store, world.artifacts, WHICH, OTHER)
    world.run(world.runner_of(lambda: HashingEmbedder(salt="other ")))
    manifest(world, tmp_path).unlink()
    looks(world).run()
    looks(world, OTHER).run()
    for _ in range(9):
        world.clock.advance(seconds=1)
        world.runner.run_next()
        world.runner_of(lambda: HashingEmbedder(salt="other ")).run_next()
    assert world.ledger.open_count() == 0
    revision = world.store.corpus_state(*PLACE).revision
    for row in (world.row(), world.row(OTHER)):
        assert row is not None and row.revision == revision


def test_a_worker_that_cannot_tell_its_embedder_looks_after_none(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.run()
    row = world.row()
    assert row is not None
    CatchUp(world.store, ArtifactStore(Path("/nowhere"), b"key"), lambda: None).run()
    assert builds(world) == 1
