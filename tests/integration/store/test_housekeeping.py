"""What is over long ago is forgotten, of every kind and every tenant, a part at a time."""

from typing import Any

from sqlalchemy import event

from core.jobs import JobLedger, Outbox
from core.jobs.housekeeping import prune_old
from core.money import Micros
from core.store import DatabaseBudget, Store
from core.store.forget import ROWS_A_PART
from core.store.tables import outbox
from tests.fakes.clock import FixedClock


def test_one_of_each_kind_is_forgotten(store: Store, clock: FixedClock) -> None:
    ledger, sent = JobLedger(store), Outbox(store)
    ledger.cancel("acme", ledger.enqueue("acme", "embed", {}, "over"))
    sent.tick_off(sent.take())
    ledger.enqueue("other", "embed", {}, "open")
    store.claim_idempotency("acme", "key", "hash")
    budget = DatabaseBudget(store, per_day={"support": 1.0})
    budget.reserve(tenant_id="acme", decision="support", amount=Micros(1))
    assert prune_old(store) == 0
    clock.advance(days=91)
    assert [prune_old(store) for _ in range(2)] == [4, 0]  # job, message, key and reservation
    assert ledger.open_count() == 1 and sent.waiting() == 1


def test_what_is_much_is_forgotten_a_part_at_a_time(store: Store, clock: FixedClock) -> None:
    row = {"tenant_id": "acme", "topic": "job", "payload": {}, "sent_at": clock.now()}
    row |= {"created_at": clock.now(), "lease_until": clock.now()}
    with store.writing() as connection:
        connection.execute(outbox.insert(), [row] * (ROWS_A_PART + 1))
    clock.advance(days=8)
    commits: list[Any] = []
    note = commits.append  # one object, which `remove` finds again
    event.listen(store._engine, "commit", note)
    try:
        assert Outbox(store).prune() == ROWS_A_PART + 1
    finally:
        event.remove(store._engine, "commit", note)
    assert len(commits) == 2
