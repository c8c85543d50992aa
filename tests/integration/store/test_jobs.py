"""The ledger and the outbox on both databases: each job once, whoever dies or comes late."""

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from core.contracts import Json
from core.errors import Conflict, Unavailable
from core.jobs import Dispatcher, Job, JobLedger, Outbox, Swept
from core.store import Store
from core.store.indexes import add_index
from tests.fakes.clock import FixedClock

LEASE = timedelta(seconds=60)


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


def enqueue(ledger: JobLedger, content: str = "hash", **options: Any) -> str:
    return ledger.enqueue("acme", "embed", {"of": content}, content, **options)


def claimed(ledger: JobLedger, job_id: str) -> Job:
    job = ledger.claim("acme", job_id, LEASE)
    assert job is not None
    return job


def state(ledger: JobLedger, job_id: str) -> tuple[str, int, str | None]:
    job = ledger.job("acme", job_id)
    assert job is not None
    return job.state, job.tries, job.reason


def test_claimed_finished_and_then_no_more(ledger: JobLedger) -> None:
    job_id = enqueue(ledger)
    job = claimed(ledger, job_id)
    assert (job.payload, job.tries) == ({"of": "hash"}, 1)
    assert ledger.claim("acme", job_id, LEASE) is None
    ledger.finish(job)
    assert state(ledger, job_id) == ("done", 1, None)
    assert ledger.claim("acme", job_id, LEASE) is None
    assert ledger.open_count() == 0


def test_the_same_work_is_open_once(ledger: JobLedger) -> None:
    job_id = enqueue(ledger)
    assert enqueue(ledger) == job_id
    job = claimed(ledger, job_id)
    assert enqueue(ledger) == job_id
    ledger.finish(job)
    assert enqueue(ledger) != job_id
    assert ledger.enqueue("other", "embed", {}, "hash") not in (job_id, None)
    assert len(Outbox(ledger._store).take()) == 3


def test_effects_are_of_the_last_claim_only(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    job_id = enqueue(ledger)
    slow = claimed(ledger, job_id)
    clock.advance(seconds=61)
    quick = claimed(ledger, job_id)

    def publish(artifact: str) -> Any:
        return lambda connection: add_index(
            connection, "acme", "support", "corpus", artifact, clock.now()
        )

    with pytest.raises(Conflict) as caught:
        ledger.finish(slow, publish("slow"))
    assert caught.value.code == "RUNG-JOB-LEASE"
    assert store.current_index("acme", "support", "corpus") is None
    ledger.finish(quick, publish("quick"))
    with pytest.raises(Conflict):
        ledger.fail(slow, "late")
    assert store.current_index("acme", "support", "corpus") == "quick"
    assert state(ledger, job_id)[0] == "done"


def test_failing_effects_leave_the_job_to_be_done(store: Store, ledger: JobLedger) -> None:
    job = claimed(ledger, enqueue(ledger))

    def broken(connection: Any) -> None:
        add_index(connection, "acme", "support", "corpus", "half", store.now())
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        ledger.finish(job, broken)
    assert state(ledger, job.id)[0] == "running"
    assert store.current_index("acme", "support", "corpus") is None


def test_a_renewed_lease_does_not_lapse(ledger: JobLedger, clock: FixedClock) -> None:
    job = claimed(ledger, enqueue(ledger))
    clock.advance(seconds=50)
    ledger.renew(job, LEASE)
    clock.advance(seconds=50)
    assert ledger.claim("acme", job.id, LEASE) is None
    assert ledger.sweep() == Swept(requeued=0, failed=0, woken=0)


def test_a_failure_waits_longer_each_time_until_its_tries_are_used_up(
    ledger: JobLedger, clock: FixedClock
) -> None:
    job_id = enqueue(ledger, max_tries=3)
    for pause in (1, 2):
        assert ledger.fail(claimed(ledger, job_id), "no \0 network") == "queued"
        assert ledger.claim("acme", job_id, LEASE) is None
        clock.advance(seconds=pause)
        assert ledger.sweep() == Swept(requeued=0, failed=0, woken=1)
    assert ledger.fail(claimed(ledger, job_id), "no network") == "failed"
    assert state(ledger, job_id) == ("failed", 3, "no network")
    assert ledger.fail(claimed(ledger, enqueue(ledger)), "bad data", retry=False) == "failed"


def test_the_sweeper_takes_over_from_the_dead(ledger: JobLedger, clock: FixedClock) -> None:
    job_id = enqueue(ledger, max_tries=2)
    claimed(ledger, job_id)
    clock.advance(seconds=60)
    assert ledger.sweep() == Swept(requeued=1, failed=0, woken=0)
    assert state(ledger, job_id)[:2] == ("queued", 1)
    claimed(ledger, job_id)
    clock.advance(seconds=60)
    assert ledger.sweep() == Swept(requeued=0, failed=1, woken=0)
    assert state(ledger, job_id)[0] == "failed"


def test_a_lost_message_is_sent_again(ledger: JobLedger, clock: FixedClock) -> None:
    enqueue(ledger)
    assert ledger.sweep().woken == 0
    clock.advance(seconds=30)
    assert ledger.sweep().woken == 1
    assert ledger.sweep().woken == 0


def test_the_next_one_is_what_is_due_longest(ledger: JobLedger, clock: FixedClock) -> None:
    first = enqueue(ledger, "a")
    clock.advance(seconds=1)
    second = enqueue(ledger, "b")
    taken = [ledger.claim_next("embed", LEASE) for _ in range(3)]
    assert [job and job.id for job in taken] == [first, second, None]
    assert ledger.claim_next("other kind", LEASE) is None


def test_many_workers_share_the_jobs_without_one_twice(ledger: JobLedger) -> None:
    ids = {enqueue(ledger, f"content {n}") for n in range(40)}
    done: list[str] = []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        while job := ledger.claim_next("embed", LEASE):
            done.append(job.id)
            ledger.finish(job)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(ids)


class Recorder:
    """A sender that is down after `good` messages."""

    def __init__(self, good: int = 100) -> None:
        self.good = good
        self.got: list[Any] = []

    def __call__(self, payload: Mapping[str, Json]) -> None:
        if len(self.got) >= self.good:
            raise Unavailable("RUNG-BROKER-UNAVAILABLE", "down", way_out="Start it.")
        self.got.append(payload["job_id"])


def test_messages_go_out_in_order_and_once(store: Store, ledger: JobLedger) -> None:
    ids = [enqueue(ledger, f"content {n}") for n in range(5)]
    recorder, outbox = Recorder(), Outbox(store)
    dispatcher = Dispatcher(outbox, {"job": recorder})
    assert (dispatcher.run_once(), dispatcher.run_once()) == (5, 0)
    assert recorder.got == ids
    assert outbox.waiting() == 0


def test_a_broker_that_is_down_loses_nothing(store: Store, ledger: JobLedger) -> None:
    ids = [enqueue(ledger, f"content {n}") for n in range(5)]
    recorder = Recorder(good=2)
    dispatcher = Dispatcher(Outbox(store), {"job": recorder})
    for _ in range(2):
        with pytest.raises(Unavailable):
            dispatcher.run_once()
    recorder.good = 100
    assert dispatcher.run_once() == 3
    assert recorder.got == ids


def test_a_dispatcher_that_died_has_its_messages_sent_again(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    enqueue(ledger)
    outbox = Outbox(store)
    assert len(outbox.take()) == 1
    assert outbox.take() == ()
    clock.advance(seconds=30)
    (message,) = outbox.take()
    outbox.tick_off([message])
    clock.advance(days=8)
    assert (outbox.take(), outbox.prune(), outbox.prune()) == ((), 1, 0)


def test_a_topic_without_a_reader_does_not_pile_up(store: Store, ledger: JobLedger) -> None:
    enqueue(ledger)
    assert Dispatcher(Outbox(store), {}).run_once() == 1
    assert Outbox(store).waiting() == 0
