"""Workers of two embedders over one ledger: each does its own, and both indexes hold it all."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.jobs import Outbox
from core.jobs.corpus_jobs import ABANDONED, FRESH, kept_up
from core.jobs.ledger import BATCH
from core.store.indexes import IndexRow
from tests.fakes.corpus_world import PLACE, WHICH, CorpusWorld
from tests.fakes.hashing_embedder import HashingEmbedder
from workers.catch_up import catch_up
from workers.index import BuildIndex
from workers.runner import JobRunner

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OLD, NEW = HashingEmbedder().fingerprint, HashingEmbedder(salt="new ").fingerprint


@pytest.fixture
def newer(world: CorpusWorld) -> JobRunner:
    return world.runner_of(lambda: HashingEmbedder(salt="new "))


def run_in_turn(world: CorpusWorld, *runners: JobRunner, most: int = 300) -> None:
    """Until no job is open; in each second all claim until nothing is due, whoever comes first."""
    source = random.Random(0)
    for _ in range(most):
        if not world.ledger.open_count():
            return
        while any(runner.run_next() for runner in source.sample(runners, len(runners))):
            pass
        world.clock.advance(seconds=1)
        world.ledger.sweep()
    raise AssertionError("jobs are open for ever")


def both_hold(world: CorpusWorld) -> set[str]:
    held = [{chunk.document for chunk in world.index(one).chunks} for one in (OLD, NEW)]
    assert held[0] == held[1]
    return held[0]


def cut_over(world: CorpusWorld, newer: JobRunner) -> None:
    world.put({f"d{n}": f"text {n} of many" for n in range(4)})
    world.run()
    catch_up(world.store, world.artifacts, WHICH, NEW)
    run_in_turn(world, world.runner, newer)


def test_no_job_of_the_one_is_failed_by_the_other(world: CorpusWorld, newer: JobRunner) -> None:
    cut_over(world, newer)
    everything = world.jobs("embed_documents") + world.jobs("build_index")
    assert {(job.state, job.tries) for job in everything} == {("done", 1)}
    assert len(both_hold(world)) == 4


def test_what_waits_for_an_embedder_says_so_and_keeps_no_other_worker_busy(
    world: CorpusWorld, newer: JobRunner
) -> None:
    world.put({"a": "one"})
    world.run()
    catch_up(world.store, world.artifacts, WHICH, NEW)
    outbox = Outbox(world.store)
    outbox.tick_off(outbox.take(10_000))
    for _ in range(600):
        assert not world.runner.run_next()
        world.clock.advance(seconds=1)
        world.runner.sweep()
    assert outbox.waiting() == 0
    assert not world.runner.is_overdue(timedelta(seconds=10)) and world.runner.left() == 0
    assert newer.is_overdue(timedelta(seconds=10)) and newer.left() == 2
    for kind in ("embed_documents", "build_index"):
        job = world.jobs(kind)[-1]
        assert (job.state, job.tries, job.needs) == ("queued", 0, NEW)
    assert world.states() == {"ready": 1} and world.row(NEW) is None


def test_jobs_for_an_embedder_that_nobody_runs_hide_none_behind_them(world: CorpusWorld) -> None:
    """More of them, and due longer, than a sweep looks at."""
    for n in range(BATCH + 20):
        world.ledger.enqueue("acme", "embed_documents", {}, f"{n}", needs=NEW, priority=FRESH)
    world.put({"a": "one"})
    for _ in range(3):
        world.runner.run_next()
        world.clock.advance(seconds=1)
        world.runner.sweep()
    assert world.held() == {"a": "one"}
    build = world.jobs("build_index")[-1]
    woken = [message.payload["job_id"] for message in Outbox(world.store).take(10_000)]
    assert build.id in woken  # it was put off for what might follow


@pytest.mark.parametrize("first", ["the old", "the new"])
def test_a_change_beside_two_indexes_ends_in_both(
    world: CorpusWorld, newer: JobRunner, first: str
) -> None:
    cut_over(world, newer)
    runners = [world.runner, newer] if first == "the old" else [newer, world.runner]
    world.put({"late": "sent during the cut-over"})
    run_in_turn(world, *runners)
    assert both_hold(world) == {"d0", "d1", "d2", "d3", "late"}
    world.delete("d0", "late")
    run_in_turn(world, *runners)
    assert both_hold(world) == {"d1", "d2", "d3"}
    for fingerprint in (OLD, NEW):
        row = world.row(fingerprint)
        assert row is not None and row.revision == world.store.corpus_state(*PLACE).revision
    assert {job.state for job in world.jobs("build_index")} == {"done"}


class ChangedMeanwhile(BuildIndex):
    """The corpus is changed, once, between what the build reads and the index coming in force."""

    def __init__(self, world: CorpusWorld, change: Callable[[], None]) -> None:
        self.embedder = world.shared(lambda: HashingEmbedder(salt="new "))
        super().__init__(world.store, world.artifacts, self.embedder)
        self._change: Callable[[], None] | None = change

    def _build(self, *words: Any) -> Any:
        built = super()._build(*words)
        change, self._change = self._change, None
        if change is not None:
            change()
        return built


def test_a_change_while_the_second_index_is_first_built_ends_in_both(
    world: CorpusWorld, newer: JobRunner
) -> None:
    world.put({"a": "one"})
    world.run()
    catch_up(world.store, world.artifacts, WHICH, NEW)

    def change() -> None:
        world.put({"b": "two"})
        for _ in range(3):
            while world.runner.run_next():
                pass
            world.clock.advance(seconds=1)
        assert world.row(NEW) is None and set(world.held()) == {"a", "b"}

    work = ChangedMeanwhile(world, change)
    interrupted = JobRunner(world.store, [work], embedder=work.embedder)
    while world.row(NEW) is None:
        interrupted.run_next()
        world.clock.advance(seconds=1)
    run_in_turn(world, world.runner, newer)
    assert both_hold(world) == {"a", "b"}


def test_an_embedder_that_nobody_runs_has_one_job_until_it_is_abandoned(
    world: CorpusWorld, newer: JobRunner
) -> None:
    cut_over(world, newer)

    def change(name: str) -> list[Any]:
        world.put({name: f"text of {name}"})
        for _ in range(20):
            while newer.run_next():
                pass
            world.clock.advance(seconds=1)
        return list(world.ledger.open_jobs(WHICH.tenant_id, "build_index"))

    for n in range(4):
        (waiting,) = change(f"late {n}")
        assert waiting.needs == OLD and waiting.tries == 0
        assert waiting.payload["revision"] == world.store.corpus_state(*PLACE).revision
    world.clock.advance(days=ABANDONED.days + 1)
    assert [job.id for job in change("much later")] == [waiting.id]
    world.ledger.cancel(WHICH.tenant_id, waiting.id)
    assert change("last") == []
    row = world.row(NEW)
    assert row is not None and row.revision == world.store.corpus_state(*PLACE).revision


def index(fingerprint: str | None, revision: int, days_ago: int) -> IndexRow:
    moment = NOW - timedelta(days=days_ago)
    return IndexRow(
        seq=1,
        corpus="corpus",
        artifact_id="an index",
        fingerprint=fingerprint,
        revision=revision,
        report={},
        registered_at=moment,
    )


@pytest.mark.parametrize(
    ("newest", "kept"),
    [
        ([], ()),
        ([index(None, 1, 0)], ()),
        ([index("a", 9, 400)], ("a",)),
        ([index("a", 9, 0), index("b", 9, 400)], ("a", "b")),  # nothing has changed since
        ([index("a", 9, 0), index("b", 8, 30)], ("a", "b")),
        ([index("a", 9, 0), index("b", 8, 31)], ("a",)),
        ([index("a", 9, 0), index("b", 9, 0), index("c", 9, 0)], ("a", "b")),
    ],
)
def test_two_embedders_that_follow_the_corpus_are_kept_up(
    newest: Sequence[IndexRow], kept: tuple[str, ...]
) -> None:
    assert kept_up(newest, {}, NOW) == kept
