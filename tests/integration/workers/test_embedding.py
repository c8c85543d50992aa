"""An embedder that does not load: the job says so in the end, and others get it meanwhile."""

import errno
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from core.embedding import TextEmbedder
from core.errors import InvalidSettings, Unavailable
from tests.fakes.corpus_world import CorpusWorld
from tests.fakes.hashing_embedder import HashingEmbedder
from workers.embedding import LONGEST_PAUSE, SharedEmbedder

FULL = InvalidSettings("RUNG-SETTING-HOME", "it cannot be written", way_out="Free some space.")


class Broken:
    """Loads nothing until it is mended; its fingerprint can be told all the same."""

    def __init__(self, world: CorpusWorld, error: Exception) -> None:
        self.error: Exception | None = error
        self.tried = 0
        self.shared = SharedEmbedder(
            self.load, fingerprint=lambda: HashingEmbedder().fingerprint, now=world.store.now
        )

    def load(self) -> TextEmbedder:
        self.tried += 1
        if self.error is not None:
            raise self.error
        return HashingEmbedder()


@pytest.fixture
def broken(world: CorpusWorld) -> Broken:
    return Broken(world, FULL)


def many(world: CorpusWorld) -> None:
    """A job for each document."""
    for n in range(20):
        world.put({f"d{n}": f"text {n}"})


def test_a_worker_beside_it_does_the_jobs(world: CorpusWorld, broken: Broken) -> None:
    many(world)
    bad = world.runner_with(broken.shared)
    for _ in range(200):
        if not world.ledger.open_count():
            break
        while any(bad.run_next() for _ in range(20)):  # however fast it claims
            pass
        world.runner.run_next()
        world.clock.advance(seconds=1)
        world.runner.sweep()
    assert world.states() == {"ready": 20}
    assert {job.state for job in world.jobs("embed_documents")} == {"done"}
    assert broken.tried <= 5


def test_alone_it_fails_them_with_the_reason_and_no_faster_than_it_pauses(
    world: CorpusWorld, broken: Broken
) -> None:
    world.put({"a": "one", "b": "two"})
    bad, began = world.runner_with(broken.shared), world.clock.now()
    world.run(bad)
    (job,) = world.jobs("embed_documents")
    assert (job.state, job.tries) == ("failed", job.max_tries)
    assert job.reason == "RUNG-SETTING-HOME: it cannot be written. Free some space."
    assert world.states() == {"failed": 2}
    assert (world.clock.now() - began).total_seconds() >= 1 + 2 + 4 + 8


def test_while_it_pauses_it_claims_nothing_and_nothing_is_overdue_for_it(
    world: CorpusWorld, broken: Broken
) -> None:
    many(world)
    bad = world.runner_with(broken.shared)
    assert bad.run_next() and broken.tried == 1
    assert not bad.run_next() and broken.tried == 1
    assert bad.left() == 20 and not bad.is_overdue(timedelta(0))
    world.clock.advance(seconds=1)
    assert bad.is_overdue(timedelta(0))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (lambda: FULL, "RUNG-SETTING-HOME"),
        (lambda: OSError(errno.ENOSPC, "No space left"), "RUNG-EMBEDDER-LOAD"),
        (lambda: ImportError("no torch"), "RUNG-EMBEDDER-LOAD"),
    ],
)
def test_pauses_grow_each_failure_is_logged_once_and_success_ends_them(
    world: CorpusWorld, caplog: pytest.LogCaptureFixture, error: Callable[[], Exception], code: str
) -> None:
    broken = Broken(world, error())
    pauses = []
    with caplog.at_level(logging.WARNING, "rung.workers"):
        for _ in range(8):
            with pytest.raises(Unavailable) as caught:
                broken.shared.opened()
            assert caught.value.retryable and caught.value.code == code
            began = world.clock.now()
            while not broken.shared.ready:
                world.clock.advance(seconds=1)
            pauses.append((world.clock.now() - began).total_seconds())
    assert pauses == [1, 2, 4, 8, 16, 32, 60, LONGEST_PAUSE.total_seconds()]
    assert len(caplog.records) == 8
    broken.error = None
    assert broken.shared.opened().fingerprint == HashingEmbedder().fingerprint
    assert broken.shared.ready


def test_without_its_files_no_job_is_known_to_be_for_it(
    world: CorpusWorld, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> TextEmbedder:
        raise FileNotFoundError("model.safetensors")

    shared = world.shared(missing)
    assert [shared.fingerprint for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
