"""The ledger on both databases: each job once, in its turn, whoever dies or comes late."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from core.errors import Conflict, NotFound
from core.jobs import Job, JobLedger, Outbox, Swept
from core.jobs import enqueue as enqueue_in
from core.jobs.cancel import cancel_job
from core.jobs.ledger import AT_THE_HEAD, BATCH
from core.store import Claim, Replay, Store
from core.store.idempotency import Effects, completing
from core.store.post import post
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


def effect(store: Store, of: str) -> Callable[[Connection], None]:
    """Any row will do: a message of a topic of its own."""
    return lambda connection: post(
        connection, tenant_id="acme", topic="effect", payload={"of": of}, now=store.now()
    )


def effects(store: Store) -> list[str]:
    taken = Outbox(store).take(limit=10_000)
    return [str(message.payload["of"]) for message in taken if message.topic == "effect"]


def test_effects_are_of_the_last_claim_only(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    job_id = enqueue(ledger)
    slow = claimed(ledger, job_id)
    clock.advance(seconds=61)
    quick = claimed(ledger, job_id)
    with pytest.raises(Conflict) as caught:
        ledger.finish(slow, effect(store, "slow"))
    assert caught.value.code == "RUNG-JOB-LEASE"
    ledger.finish(quick, effect(store, "quick"), result={"documents": 3})
    with pytest.raises(Conflict):
        ledger.fail(slow, "late", retry=False, effects=effect(store, "late"))
    assert effects(store) == ["quick"]
    done = ledger.job("acme", job_id)
    assert done is not None
    assert (done.state, done.result, done.finished_at) == ("done", {"documents": 3}, clock.now())


def test_failing_effects_leave_the_job_to_be_done(store: Store, ledger: JobLedger) -> None:
    job = claimed(ledger, enqueue(ledger))

    def broken(connection: Connection) -> None:
        effect(store, "half")(connection)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        ledger.finish(job, broken)
    assert state(ledger, job.id)[0] == "running"
    assert effects(store) == []
    ledger.finish(job, effect(store, "whole"))


def test_a_failed_job_has_the_effects_of_its_failure(store: Store, ledger: JobLedger) -> None:
    again = claimed(ledger, enqueue(ledger, "a"))
    assert ledger.fail(again, "no network", effects=effect(store, "again")) == "queued"
    over = claimed(ledger, enqueue(ledger, "b"))
    assert ledger.fail(over, "bad", retry=False, effects=effect(store, "over")) == "failed"
    assert effects(store) == ["over"]


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


def test_a_busy_queue_has_hardly_more_than_one_message_a_job(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    """However long its jobs wait for the one worker: more messages would wake nobody."""
    for number in range(60):
        enqueue(ledger, f"{number}")
    while ledger.open_count():
        job = ledger.claim_next(["embed"], LEASE)
        assert job is not None
        for _ in range(4):
            clock.advance(seconds=1)
            ledger.sweep()
        ledger.finish(job)
    assert 60 <= len(Outbox(store).take(limit=10_000)) <= 2 * 60


def test_the_head_of_the_queue_is_woken_for_again_ever_more_seldom(
    ledger: JobLedger, clock: FixedClock
) -> None:
    """Its wake-ups may have been spent on workers that cannot do it."""
    for number in range(AT_THE_HEAD + 5):
        enqueue(ledger, f"{number}")
    again = []
    for second in range(1, 601):
        clock.advance(seconds=1)
        if woken := ledger.sweep().woken:
            again.append((second, woken))
    assert again == [(second, AT_THE_HEAD) for second in (30, 60, 120, 240, 480)]


def test_what_needs_an_embedder_is_for_its_workers_alone(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    needs = enqueue(ledger, "one", needs="e1", priority=9)
    anybodys = enqueue(ledger, "any")
    for embedder, left in ((None, 1), ("e1", 2), ("e2", 1)):
        assert ledger.left_for(["embed"], embedder=embedder) == left
    clock.advance(seconds=1)
    job = ledger.claim_next(["embed"], LEASE, embedder="e2")
    assert job is not None and (job.id, job.needs) == (anybodys, None)
    assert not ledger.is_overdue(["embed"], timedelta(seconds=1), embedder="e2")
    assert ledger.is_overdue(["embed"], timedelta(seconds=1), embedder="e1")
    assert ledger.claim_next(["embed"], LEASE) is None
    theirs = ledger.claim_next(["embed"], LEASE, embedder="e1")
    assert theirs is not None and (theirs.id, theirs.needs) == (needs, "e1")
    ledger.fail(theirs, "no network")
    clock.advance(seconds=1)
    assert [ledger.sweep(embedder=one).woken for one in (None, "e2", "e1")] == [0, 0, 1]


def next_ids(ledger: JobLedger, kinds: list[str] | None = None) -> list[str]:
    """All that can be claimed now, in the order in which it is."""
    taken = []
    while job := ledger.claim_next(kinds or ["embed"], LEASE):
        taken.append(job.id)
    return taken


def test_the_next_one_is_the_most_urgent_and_then_what_is_due_longest(
    ledger: JobLedger, clock: FixedClock
) -> None:
    expected = []
    for number, priority in enumerate((0, 5, -5, 0, 5)):
        expected.append((-priority, number, enqueue(ledger, f"{number}", priority=priority)))
        clock.advance(seconds=1)
    assert ledger.claim_next(["other kind"], LEASE) is None
    assert ledger.claim_next([], LEASE) is None
    assert next_ids(ledger, ["other kind", "embed"]) == [job for *_, job in sorted(expected)]


def test_what_is_put_off_is_claimed_and_woken_for_when_it_is_due(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    with store.writing() as connection:
        job_id = enqueue_in(
            connection,
            tenant_id="acme",
            kind="embed",
            payload={},
            content_hash="later",
            now=clock.now(),
            priority=9,
            wait=timedelta(seconds=5),
        )
    other = enqueue(ledger)
    assert next_ids(ledger) == [other]
    assert ledger.sweep().woken == 0
    clock.advance(seconds=5)
    assert (ledger.sweep().woken, ledger.sweep().woken) == (1, 0)
    assert next_ids(ledger) == [job_id]


def test_a_long_queue_is_woken_for_in_turn_and_a_little_at_a_time(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    with store.writing() as connection:
        for number in range(BATCH + 20):
            enqueue_in(
                connection,
                tenant_id="acme",
                kind="embed",
                payload={},
                content_hash=f"{number}",
                now=clock.now(),
                wait=timedelta(seconds=5),
            )
    clock.advance(seconds=5)
    # Nobody claims, so that more messages would only pile up.
    assert [ledger.sweep().woken for _ in range(3)] == [BATCH, 0, 0]
    for _ in range(15):
        assert ledger.claim_next(["embed"], LEASE)
    assert [ledger.sweep().woken for _ in range(2)] == [15, 0]


def test_progress_and_how_long_it_will_take(ledger: JobLedger, clock: FixedClock) -> None:
    job_id = enqueue(ledger)

    def left() -> timedelta | None:
        job = ledger.job("acme", job_id)
        assert job is not None
        return job.left(clock.now())

    assert left() is None
    job = claimed(ledger, job_id)
    assert left() is None
    clock.advance(seconds=10)
    ledger.renew(job, LEASE, (5, None))
    assert left() is None
    ledger.renew(job, LEASE, (5, 20))
    assert left() == timedelta(seconds=30)
    ledger.renew(job, LEASE)
    assert left() == timedelta(seconds=30)
    ledger.renew(job, LEASE, (25, 20))  # more came to light than was counted
    assert left() == timedelta(0)
    ledger.fail(job, "no network")
    assert left() is None
    clock.advance(seconds=1)
    again = claimed(ledger, job_id)
    assert (again.progress, again.started_at) == (0, clock.now())


@pytest.mark.parametrize("running", [False, True])
def test_a_cancelled_job_is_over_for_whoever_works_on_it(
    store: Store, ledger: JobLedger, clock: FixedClock, running: bool
) -> None:
    job_id = enqueue(ledger)
    job = claimed(ledger, job_id) if running else None
    cancelled = ledger.cancel("acme", job_id)
    assert (cancelled.state, cancelled.finished_at) == ("cancelled", clock.now())
    if job is not None:
        changes: list[Callable[[], Any]] = [
            lambda: ledger.renew(job, LEASE, (1, 2)),
            lambda: ledger.finish(job, effect(store, "finish")),
            lambda: ledger.fail(job, "late", retry=False, effects=effect(store, "fail")),
        ]
        for change in changes:
            with pytest.raises(Conflict) as caught:
                change()
            assert caught.value.code == "RUNG-JOB-LEASE"
    with pytest.raises(Conflict) as caught:
        ledger.cancel("acme", job_id)
    assert caught.value.code == "RUNG-JOB-STATE"
    clock.advance(seconds=90)
    assert ledger.sweep() == Swept(requeued=0, failed=0, woken=0)
    assert next_ids(ledger) == [] and effects(store) == []
    assert ledger.job("acme", job_id) == cancelled


def test_tried_again_by_hand(store: Store, ledger: JobLedger, clock: FixedClock) -> None:
    job_id = enqueue(ledger, max_tries=1)
    with pytest.raises(Conflict) as caught:
        ledger.retry("acme", job_id)
    assert caught.value.code == "RUNG-JOB-STATE"
    job = claimed(ledger, job_id)
    with pytest.raises(Conflict):
        ledger.retry("acme", job_id)
    assert ledger.fail(job, "no network") == "failed"
    Outbox(store).take()
    assert ledger.retry("acme", job_id).state == "queued"
    assert state(ledger, job_id) == ("queued", 0, None)
    assert [message.payload["job_id"] for message in Outbox(store).take()] == [job_id]
    with pytest.raises(Conflict):
        ledger.finish(job)
    ledger.finish(claimed(ledger, job_id))
    with pytest.raises(Conflict):
        ledger.retry("acme", job_id)
    with pytest.raises(NotFound) as unknown:
        ledger.retry("acme", "nothing")
    assert unknown.value.code == "RUNG-JOB-UNKNOWN"


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_change_by_hand_completes_its_claim_or_changes_nothing(
    store: Store, ledger: JobLedger, clock: FixedClock, verb: str
) -> None:
    def completing_by(claim: Claim | Replay) -> Effects[Job]:
        assert isinstance(claim, Claim)
        return completing(claim, store.now(), lambda job: {"state": job.state})

    call = {"cancel": partial(cancel_job, ledger), "retry": ledger.retry}[verb]
    job_id = enqueue(ledger)
    if verb == "retry":
        ledger.cancel("acme", job_id)
    before = ledger.job("acme", job_id)
    late = completing_by(store.claim_idempotency("acme", "k", "hash"))
    clock.advance(minutes=5)
    held = completing_by(store.claim_idempotency("acme", "k", "hash"))
    with pytest.raises(Conflict) as caught:
        call("acme", job_id, late)
    assert caught.value.code == "RUNG-IDEMPOTENCY-LOST"
    assert ledger.job("acme", job_id) == before
    changed = call("acme", job_id, held)
    replay = store.claim_idempotency("acme", "k", "hash")
    assert replay == Replay(decision_id=None, response={"state": changed.state})


def test_work_that_waits_as_another_job_is_not_tried_again(ledger: JobLedger) -> None:
    first = enqueue(ledger)
    ledger.cancel("acme", first)
    enqueue(ledger)
    with pytest.raises(Conflict) as caught:
        ledger.retry("acme", first)
    assert caught.value.code == "RUNG-JOB-STATE"
    assert state(ledger, first)[0] == "cancelled"


def test_pages_hold_each_job_once(ledger: JobLedger, clock: FixedClock) -> None:
    for number in range(9):
        enqueue(ledger, f"{number}")
        if number % 3 == 2:  # three of one moment
            clock.advance(seconds=1)
    whole = [job.id for job in ledger.jobs("acme")]
    moments = [job.created_at for job in ledger.jobs("acme")]
    assert len(whole) == 9 and moments == sorted(moments, reverse=True)
    paged: list[str] = []
    while page := ledger.jobs("acme", limit=2, after=paged[-1] if paged else None):
        paged += [job.id for job in page]
    assert paged == whole
    with pytest.raises(NotFound):
        ledger.jobs("acme", after="nothing")


def test_found_by_as_many_digits_as_are_unique(ledger: JobLedger) -> None:
    ids = [enqueue(ledger, f"{number}") for number in range(17)]  # two begin with the same digit
    for job_id in ids:
        assert ledger.find("acme", job_id).id == job_id
    first = Counter(job_id[0] for job_id in ids).most_common(1)[0][0]
    with pytest.raises(Conflict) as caught:
        ledger.find("acme", first)
    assert caught.value.code == "RUNG-JOB-AMBIGUOUS"
    for unknown in ("", "xyz", "%", ids[0] + "0"):
        with pytest.raises(NotFound):
            ledger.find("acme", unknown)
    with pytest.raises(NotFound):
        ledger.find("other", ids[0])


def test_counts_and_what_is_over_for_long_is_forgotten(
    ledger: JobLedger, clock: FixedClock
) -> None:
    open_id = enqueue(ledger, "open")
    ledger.cancel("acme", enqueue(ledger, "old"))
    clock.advance(days=60)
    ledger.cancel("acme", enqueue(ledger, "newer"))
    expected = {"queued": 1, "running": 0, "done": 0, "failed": 0, "cancelled": 2}
    assert ledger.counts("acme") == expected
    assert not any(ledger.counts("other").values())
    clock.advance(days=30)
    assert (ledger.prune(), ledger.prune()) == (1, 0)
    assert ledger.counts("acme") == {**expected, "cancelled": 1}
    assert state(ledger, open_id)[0] == "queued"


def test_many_workers_share_the_jobs_without_one_twice(ledger: JobLedger) -> None:
    ids = {enqueue(ledger, f"content {n}") for n in range(40)}
    done: list[str] = []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        while job := ledger.claim_next(["embed"], LEASE):
            done.append(job.id)
            ledger.finish(job)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(ids)


def test_a_job_that_waits_for_another_is_put_off_without_a_try(
    ledger: JobLedger, clock: FixedClock
) -> None:
    job_id = enqueue(ledger, max_tries=1)
    for _ in range(3):  # more often than it has tries
        job = claimed(ledger, job_id)
        ledger.put_off(job, "it waits for another")
        assert state(ledger, job_id) == ("queued", 0, "it waits for another")
        assert ledger.claim_next(["embed"], LEASE) is None
        clock.advance(seconds=1)
        assert ledger.claim_next(["embed"], LEASE) is None
        clock.advance(seconds=1)
        assert ledger.sweep() == Swept(requeued=0, failed=0, woken=1)
    with pytest.raises(Conflict):
        ledger.put_off(job, "by whoever has it no longer")
    ledger.finish(claimed(ledger, job_id))
    assert state(ledger, job_id)[:2] == ("done", 1)
