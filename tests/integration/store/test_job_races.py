"""The ledger where several do different things with the same jobs at one moment."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from core.errors import Conflict, RungError
from core.jobs import JobLedger, Outbox, enqueue
from core.store import Store
from core.store.post import post

LEASE = timedelta(seconds=60)
ROUNDS = 12


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each returned, or the code of its refusal; any other error is raised."""
    together = threading.Barrier(len(calls))
    outcomes: list[Any] = [None] * len(calls)

    def run(place: int) -> None:
        together.wait()
        try:
            outcomes[place] = calls[place]()
        except RungError as error:
            outcomes[place] = error.code
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def test_a_job_is_either_finished_or_cancelled(store: Store, ledger: JobLedger) -> None:
    for number in range(ROUNDS):
        job_id = ledger.enqueue("acme", "embed", {}, f"{number}")
        job = ledger.claim("acme", job_id, LEASE)
        assert job is not None

        def effect(connection: Connection, of: str = job_id) -> None:
            now = store.now()
            post(connection, tenant_id="acme", topic="effect", payload={"of": of}, now=now)

        finished, cancelled = at_once(
            lambda job=job, effect=effect: ledger.finish(job, effect),  # type: ignore[misc]
            lambda job_id=job_id: ledger.cancel("acme", job_id).state,  # type: ignore[misc]
        )
        ended = ledger.job("acme", job_id)
        written = [m for m in Outbox(store).take() if m.topic == "effect"]
        assert ended is not None
        if ended.state == "done":
            assert (finished, cancelled, len(written)) == (None, "RUNG-JOB-STATE", 1)
        else:
            assert (finished, cancelled, len(written)) == ("RUNG-JOB-LEASE", "cancelled", 0)


def test_the_same_work_is_open_once_whoever_asks_for_it(ledger: JobLedger) -> None:
    """A second try of an old job, new requests, and the end of the open one, all together."""
    for number in range(ROUNDS):
        content = f"{number}"
        old = ledger.enqueue("acme", "embed", {}, content)
        ledger.cancel("acme", old)
        job_id = ledger.enqueue("acme", "embed", {}, content)
        job = ledger.claim("acme", job_id, LEASE)
        assert job is not None
        ask = lambda content=content: ledger.enqueue("acme", "embed", {}, content)  # noqa: E731
        _, retried, *ids = at_once(
            lambda job=job: ledger.finish(job),  # type: ignore[misc]
            lambda old=old: ledger.retry("acme", old).id,  # type: ignore[misc]
            ask,
            ask,
        )
        opened = [job.id for job in ledger.jobs("acme", "queued") if job.content_hash == content]
        assert len(opened) <= 1
        assert {*ids} <= {job_id, *opened}
        assert retried in ("RUNG-JOB-STATE", old)
        assert (retried == old) == (opened == [old])


def test_a_wake_up_finds_a_job_also_while_others_sweep(ledger: JobLedger) -> None:
    """A claim that passed over rows which a sweeper holds would leave them without a wake-up."""
    for number in range(40):
        ledger.enqueue("acme", "embed", {}, f"{number}")
    claim = lambda: ledger.claim_next(["embed"], LEASE)  # noqa: E731
    for _ in range(10):
        claimed = [at_once(ledger.sweep, claim, ledger.sweep, claim)[place] for place in (1, 3)]
        assert all(claimed)


def test_many_claim_in_turn(ledger: JobLedger) -> None:
    """However many there are, the most urgent are taken first."""
    for number in range(30):
        ledger.enqueue("acme", "embed", {}, f"{number}", priority=number % 3)
    order: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(5):
            with lock:  # what is claimed at one moment has no order
                job = ledger.claim_next(["embed"], LEASE)
                assert job is not None
                order.append(job.priority)

    at_once(*[work] * 6)
    assert order == [2] * 10 + [1] * 10 + [0] * 10


@pytest.mark.parametrize(
    ("kinds", "embedder"), [(["embed"], None), (["embed", "score"], "embedder")]
)
def test_a_claim_in_a_long_queue_reads_it_in_order(
    store: Store, ledger: JobLedger, kinds: list[str], embedder: str | None
) -> None:
    with store.writing() as connection:
        for number in range(1000):
            enqueue(
                connection,
                tenant_id="acme",
                kind="embed",
                payload={},
                content_hash=f"{number}",
                now=store.now(),
            )
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        seen.append((statement, values))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        assert ledger.claim_next(kinds, LEASE, embedder=embedder)
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    ((statement, values),) = [one for one in seen if one[0].lstrip().startswith("SELECT")]
    with store.writing() as connection:
        if store.is_sqlite:
            asked = f"EXPLAIN QUERY PLAN {statement}"
        else:
            connection.execute(text("ANALYZE jobs"))
            asked = f"EXPLAIN {statement}"
        plan = "\n".join(map(str, connection.exec_driver_sql(asked, values)))
    assert "jobs_by_turn" in plan
    assert "Sort" not in plan and "TEMP B-TREE" not in plan


def test_a_retry_beside_a_retry(ledger: JobLedger) -> None:
    for number in range(ROUNDS):
        job_id = ledger.enqueue("acme", "embed", {}, f"{number}")
        ledger.cancel("acme", job_id)
        retry = lambda job_id=job_id: ledger.retry("acme", job_id).state  # noqa: E731
        assert sorted(at_once(retry, retry)) == ["RUNG-JOB-STATE", "queued"]
        with pytest.raises(Conflict):
            ledger.retry("acme", job_id)
