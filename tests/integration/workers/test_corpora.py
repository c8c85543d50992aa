"""Whatever is put and deleted, when, and whoever fails: the index holds what the corpus does."""

import errno
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore
from core.contracts import Json
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from core.jobs import Job
from core.jobs.corpus_jobs import BULK, FRESH, earlier_build, enqueue_build, promote_judged
from core.store import Store
from core.store.documents import NewDocument
from core.store.indexes import NewIndex, add_index
from rankers.corpora import put_index
from tests.fakes.clock import FixedClock
from tests.fakes.corpus_world import (
    PLACE,
    POISON,
    WHICH,
    CorpusWorld,
    PoisonedEmbedder,
    undisturbed,
)
from tests.fakes.hashing_embedder import HashingEmbedder
from workers.catch_up import catch_up
from workers.index import BuildIndex
from workers.runner import LEASE, JobRunner


def test_a_document_is_searched_and_the_next_one_too(world: CorpusWorld) -> None:
    world.put({"a": "cards arrive by post"})
    world.run()
    assert world.held() == {"a": "cards arrive by post"}
    world.put({"b": "transfers take a day"})
    world.run()
    assert set(world.held()) == {"a", "b"}
    assert world.states() == {"ready": 2}
    row = world.row()
    assert row is not None and row.revision == 2
    assert {row.report[name] for name in ("documents", "chunks")} == {2}
    compared: Any = row.report["compared"]
    assert (compared["documents_added"], compared["same_space"]) == (1, True)


def test_a_burst_is_one_build(world: CorpusWorld) -> None:
    for n in range(6):
        world.put({f"d{n}": f"text {n}"})
    while world.jobs("embed_documents")[-1].state != "done":
        world.runner.run_next()
    world.run()
    (build,) = world.jobs("build_index")
    assert build.payload["revision"] == 6 and build.tries == 1
    assert len(world.held()) == 6


def test_a_build_that_waits_is_as_urgent_as_the_most_urgent_change(world: CorpusWorld) -> None:
    world.put_bulk({"a": "one"})
    world.runner.run_next()
    (before,) = world.jobs("build_index")
    world.put({"b": "two"}, priority=FRESH)
    world.runner.run_next()
    (build,) = world.jobs("build_index")
    assert (before.id, before.priority, build.priority) == (build.id, BULK, FRESH)
    world.run()
    assert set(world.held()) == {"a", "b"}


def test_only_what_is_new_is_embedded(store: Store, clock: FixedClock, tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    world = CorpusWorld(store, clock, tmp_path, lambda: embedder)
    world.put({"a": "one", "b": "two"})
    world.run()
    assert embedder.asked == 2
    world.put({"b": "three"})
    world.delete("a")
    world.run()
    assert embedder.asked == 3


def test_one_document_does_not_wait_for_many(world: CorpusWorld) -> None:
    world.put_bulk({f"d{n:03d}": f"text {n}" for n in range(600)})
    world.put({"fresh": "this one first"})
    world.runner.run_next()
    assert world.store.document(*PLACE, "fresh").state == "ready"
    world.clock.advance(seconds=1)
    world.runner.run_next()
    assert set(world.held()) == {"fresh"}


def test_a_build_tells_one_count_that_grows_through_embedding_and_linking(
    world: CorpusWorld,
) -> None:
    world.put({"a": "one", "b": "two", "c": "three"})
    world.runner.run_next()
    world.clock.advance(seconds=1)
    own = HashingEmbedder().fingerprint
    job = world.ledger.claim_next(["build_index"], LEASE, embedder=own)
    assert job is not None
    told: list[tuple[int, int | None]] = []
    build = BuildIndex(world.store, world.artifacts, world.shared())
    build.run(job, lambda done, total: told.append((done, total)))
    # Three texts, whose vectors are there already, then three chunks, then their words.
    assert told == [(3, 6), (6, 6), (6, 6)]


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_ends_in_the_index_of_an_undisturbed_build(
    world: CorpusWorld, seed: int
) -> None:
    """The oracle is a dictionary. Jobs run now and then, in between and not in order."""
    source, oracle = random.Random(seed), {"always": "there"}
    world.put(oracle)
    names = [f"d{n}" for n in range(8)]
    for step in range(40):
        chosen = source.sample(names, source.randint(1, 3))
        kind = source.choice(["put", "put", "bulk", "delete", "run", "wait"])
        if kind in ("put", "bulk"):
            new = {name: f"text {source.randint(0, 3)} of {name}" for name in chosen}
            (world.put if kind == "put" else world.put_bulk)(new)
            oracle |= new
        elif kind == "delete":
            world.delete(*chosen)
            oracle = {name: text for name, text in oracle.items() if name not in chosen}
        elif kind == "run":
            for _ in range(source.randint(1, 4)):
                world.runner.run_next()
        else:
            world.clock.advance(seconds=step % 3)
    world.run()
    assert world.held() == oracle
    assert world.index().identity == undisturbed(oracle).identity
    row = world.row()
    assert row is not None
    assert world.store.deleted_since(*PLACE, row.deletions_through) == frozenset()
    assert world.states().keys() <= {"ready", "deleted"}


# --- races


def interrupted(world: CorpusWorld, meanwhile: Callable[[], object]) -> JobRunner:
    work = Interrupted(world, meanwhile)
    return JobRunner(world.store, [work], embedder=work.embedder)


class Interrupted(BuildIndex):
    """Does something else once, between reading the corpus and putting the index in force."""

    def __init__(self, world: CorpusWorld, meanwhile: Any) -> None:
        self.embedder = world.shared()
        super().__init__(world.store, world.artifacts, self.embedder)
        self._meanwhile = meanwhile

    def _build(self, *words: Any) -> Any:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        built = super()._build(*words)
        meanwhile()
        return built


def test_what_is_put_during_a_build_is_in_the_next(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.runner.run_next()
    world.clock.advance(seconds=1)

    def put() -> None:
        world.put({"b": "two"})
        world.runner.run_next()

    interrupted(world, put).run_next()
    assert set(world.held()) == {"a"}
    world.run()
    assert set(world.held()) == {"a", "b"}


def test_a_slow_build_does_not_replace_a_newer_index(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.runner.run_next()
    world.clock.advance(seconds=1)

    def overtaken() -> None:
        """By training, which has built the same corpus itself."""
        world.put({"b": "two"})
        world.runner.run_next()
        built = undisturbed({"a": "one", "b": "two"})
        artifact = put_index(world.artifacts, WHICH.tenant_id, built)
        new = NewIndex(artifact_id=artifact, fingerprint=built.fingerprint)
        with world.store.writing() as connection:
            add_index(connection, WHICH, new, revision=2, through=0, now=world.store.now())

    interrupted(world, overtaken).run_next()
    assert set(world.held()) == {"a", "b"}
    world.run()
    assert set(world.held()) == {"a", "b"}


def test_a_corpus_is_built_once_at_a_time_and_then_with_all_that_has_changed(
    world: CorpusWorld,
) -> None:
    """Three edits seconds apart, while three workers idle."""
    world.put({"a": "one"})
    world.runner.run_next()
    world.clock.advance(seconds=1)

    def edited() -> None:
        for name, text in (("b", "two"), ("c", "three")):
            world.put({name: text})
            while any([world.runner.run_next(), world.runner_of(HashingEmbedder).run_next()]):
                pass
            world.clock.advance(seconds=3)

    interrupted(world, edited).run_next()
    first, second = world.jobs("build_index")
    assert set(world.held()) == {"a"}
    assert (first.state, second.state, second.tries) == ("done", "queued", 0)
    assert second.reason == "another build of the same corpus is running"
    assert second.payload["revision"] == 3
    world.run()
    assert set(world.held()) == {"a", "b", "c"}
    ended = [(job.tries, job.reason) for job in world.jobs("build_index")]
    assert ended == [(1, None)] * 2


def test_a_build_waits_for_none_whose_worker_is_dead(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.runner.run_next()
    world.clock.advance(seconds=1)
    own = HashingEmbedder().fingerprint
    dead = world.ledger.claim_next(["build_index"], LEASE, embedder=own)
    assert dead is not None
    world.put({"b": "two"})
    world.runner.run_next()
    world.clock.advance(seconds=LEASE.total_seconds())
    later = world.ledger.claim_next(["build_index"], LEASE, embedder=own)
    assert later is not None and later.id != dead.id
    assert not earlier_build(world.store, later)


def test_of_two_builds_never_both_wait(world: CorpusWorld) -> None:
    now = world.store.now()
    own = HashingEmbedder().fingerprint
    with world.store.writing() as connection:
        for revision, needs in ((1, None), (2, own), (3, own), (4, "another")):
            enqueue_build(connection, WHICH, revision, priority=FRESH, now=now, fingerprint=needs)
    world.clock.advance(seconds=1)
    claimed = [  # all at one moment
        world.ledger.claim("acme", job.id, LEASE) for job in world.jobs("build_index")
    ]
    waiting = {job.id for job in claimed if job and earlier_build(world.store, job)}
    first = min(job.id for job in claimed if job)
    assert first not in waiting and len(waiting) >= 2
    other = next(job for job in claimed if job and job.needs == "another")
    anybodys = next(job for job in claimed if job and job.needs is None)
    assert (other.id in waiting) == (anybodys.id < other.id)


def test_what_is_deleted_during_a_build_stays_hidden(world: CorpusWorld) -> None:
    world.put({"a": "one", "b": "two"})
    world.runner.run_next()
    world.clock.advance(seconds=1)
    interrupted(world, lambda: world.delete("a")).run_next()
    row = world.row()
    assert row is not None and set(world.held()) == {"a", "b"}
    assert world.store.deleted_since(*PLACE, row.deletions_through) == {"a"}
    world.run()
    assert set(world.held()) == {"b"}


def test_a_job_that_ran_twice_leaves_its_effects_once(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.ledger.claim_next(["embed_documents"], LEASE)  # by a worker that is now silent
    world.clock.advance(seconds=61)
    world.run()
    assert world.store.corpus_state(*PLACE).revision == 1
    assert [job.tries for job in world.jobs("embed_documents")] == [2]


def test_training_asks_for_a_build_that_nobody_can_be_ending(world: CorpusWorld) -> None:
    """Its key is new: whoever ends the build of the same corpus holds that row, and waits."""
    new = [NewDocument(id="a", title="a", text="one")]
    index = NewIndex(artifact_id="judged", fingerprint=HashingEmbedder().fingerprint)
    world.put({"a": "one", "sent": "two"})
    world.runner.run_next()
    (before,) = world.ledger.open_jobs(WHICH.tenant_id, "build_index")
    for further in (1, 2):
        with world.store.writing() as connection:
            assert not promote_judged(connection, WHICH, new, index, world.store.now())
        (asked,) = world.ledger.open_jobs(WHICH.tenant_id, "build_index")
        assert asked.id == before.id and asked.payload["revision"] == 1 + further
    world.run()
    assert world.held() == {"a": "one", "sent": "two"}


# --- faults


def test_a_poisonous_document_fails_alone(store: Store, clock: FixedClock, tmp_path: Path) -> None:
    world = CorpusWorld(
        store, clock, tmp_path, lambda: PoisonedEmbedder(RuntimeError("no such token"))
    )
    world.put_bulk({"a": "one", "b": f"a {POISON}", "c": "three"})
    world.run()
    assert world.states() == {"ready": 2, "failed": 1}
    found = world.store.document(*PLACE, "b")
    assert (found.state, found.reason) == ("failed", "RuntimeError: no such token")
    assert set(world.held()) == {"a", "c"}
    world.put({"b": "two"})
    world.run()
    assert (world.states(), set(world.held())) == ({"ready": 3}, {"a", "b", "c"})


def test_a_document_that_no_further_try_helps_is_told_at_once(
    store: Store, clock: FixedClock, tmp_path: Path
) -> None:
    error = InvalidDocument("RUNG-A-B", "it is no text", way_out="Write one.")
    world = CorpusWorld(store, clock, tmp_path, lambda: PoisonedEmbedder(error))
    world.put({"a": "one", "b": POISON})
    world.run()
    assert world.store.document(*PLACE, "b").reason == "RUNG-A-B: it is no text. Write one."
    assert [job.tries for job in world.jobs("embed_documents")] == [1, 1, 1]


class Killed(BaseException):
    """As SIGKILL ends a process: nothing is written any more."""


def test_a_document_that_kills_its_worker_fails_alone(
    store: Store, clock: FixedClock, tmp_path: Path
) -> None:
    world = CorpusWorld(store, clock, tmp_path, lambda: PoisonedEmbedder(Killed()))
    world.put_bulk({"a": "one", "b": f"a {POISON}", "c": "three"})
    for _ in range(20):
        try:
            world.run()
            break
        except Killed:
            clock.advance(seconds=61)  # its lease ends, and another worker starts
    assert world.states() == {"ready": 2, "failed": 1}
    reason = world.store.document(*PLACE, "b").reason
    assert reason == "its worker did not finish it in 3 tries"
    assert set(world.held()) == {"a", "c"}


def test_an_embedder_that_does_not_load_fails_the_job_and_a_retry_helps(
    store: Store, clock: FixedClock, tmp_path: Path
) -> None:
    there = False

    def load() -> TextEmbedder:
        if not there:
            raise FileNotFoundError("model.safetensors")
        return HashingEmbedder()

    world = CorpusWorld(store, clock, tmp_path, load)
    world.put({"a": "one", "b": "two"})
    world.run()
    (job,) = world.jobs("embed_documents")
    assert (job.state, job.tries) == ("failed", job.max_tries)
    assert job.reason is not None and job.reason.startswith("RUNG-EMBEDDER-LOAD: ")
    assert world.states() == {"failed": 2}
    assert world.store.document(*PLACE, "a").reason == job.reason
    there = True
    world.ledger.retry(WHICH.tenant_id, job.id)
    world.run()
    assert (world.states(), set(world.held())) == ({"ready": 2}, {"a", "b"})


class FullDisk(ArtifactStore):
    """Has no space until it is told otherwise."""

    space = False

    def put(
        self,
        tenant_id: str,
        kind: str,
        files: Mapping[str, bytes],
        meta: Mapping[str, Json] | None = None,
    ) -> str:
        if not self.space:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().put(tenant_id, kind, files, meta)


def test_a_full_disk_is_tried_again_and_then_told(world: CorpusWorld, tmp_path: Path) -> None:
    world.put({"a": "one"})
    world.run()
    disk = FullDisk(tmp_path / "artifacts", b"key")
    world.artifacts = disk
    runner = world.runner_of(HashingEmbedder)
    world.put({"b": "two"})
    world.run(runner)
    job = world.jobs("build_index")[-1]
    assert (job.state, job.tries) == ("failed", job.max_tries)
    assert job.reason == "OSError: [Errno 28] No space left on device"
    assert set(world.held()) == {"a"}  # the index before stays in force
    disk.space = True
    world.ledger.retry(WHICH.tenant_id, job.id)
    world.run(runner)
    assert set(world.held()) == {"a", "b"}


def test_the_last_document_leaves_the_index_in_force_and_is_hidden(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.run()
    world.delete("a")
    world.run()
    job = world.jobs("build_index")[-1]
    assert job.state == "failed" and job.tries == 1
    assert job.reason is not None and job.reason.startswith("RUNG-CORPUS-EMPTY: ")
    row = world.row()
    assert row is not None
    assert world.store.deleted_since(*PLACE, row.deletions_through) == {"a"}
    world.put({"a": "again"})
    world.run()
    assert world.held() == {"a": "again"}


# --- another embedder


def test_a_new_embedder_gets_an_index_beside_the_one_in_force(world: CorpusWorld) -> None:
    world.put({f"d{n}": f"text {n} of many" for n in range(12)})
    world.run()
    before = world.row()
    other = HashingEmbedder(salt="other ")
    assert catch_up(world.store, world.artifacts, WHICH, other.fingerprint)
    assert not catch_up(world.store, world.artifacts, WHICH, other.fingerprint)  # it waits
    assert len(world.jobs("embed_documents")) == 2
    world.run(world.runner_of(lambda: other))
    built = world.row(other.fingerprint)
    assert built is not None and before is not None
    assert world.row() == before
    assert world.index(other.fingerprint).identity != world.index().identity
    compared: Any = built.report["compared"]
    assert (compared["same_space"], compared["documents_added"]) == (False, 0)
    assert compared["same_first"]["n"] == 12
    assert not catch_up(world.store, world.artifacts, WHICH, other.fingerprint)


def test_an_index_of_another_embedder_cannot_be_loaded(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.run()
    row = world.row()
    assert row is not None
    with pytest.raises(InvalidDocument) as caught:
        from rankers.corpora import load_index

        load_index(world.artifacts, "acme", row.artifact_id, fingerprint="other space")
    assert caught.value.code == "RUNG-INDEX-EMBEDDER"


def test_a_build_of_what_is_in_force_already_does_nothing(world: CorpusWorld) -> None:
    world.put({"a": "one"})
    world.run()
    with world.store.writing() as connection:
        enqueue_build(connection, WHICH, 1, priority=FRESH, now=world.store.now())
    world.run()
    results: Sequence[Job] = world.jobs("build_index")
    assert results[-1].result == {"superseded": True}
