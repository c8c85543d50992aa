"""The audit of the killed server finds each kind of fault that it is there for."""

from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select

from core.clock import SystemClock
from core.contracts import Feedback
from core.store import Claim, Store
from core.store.tables import feedback, payloads
from tests.fakes.ledger_outside import Told
from tests.fakes.service import NOW, decided
from tests.faults.serving.audit import audit

SHOWN = ("id", "name", "outcomes", "rung", "probability", "llm", "release", "milliseconds")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'rung.db'}", SystemClock())


@pytest.fixture
def told(store: Store) -> Told:
    """Three decisions, of which one is a person's, and a feedback on each, all acknowledged."""
    told = Told()
    for number, message in enumerate(("hello", "a person, please", "stolen")):
        decision = decided("default", "support", message, NOW)
        facts = {"amount": number, "customer": "c"}
        claim = store.claim_idempotency("default", f"decide-{number}", "hash")
        assert isinstance(claim, Claim)
        review = decision.rung == "person"
        store.record_decision(decision, facts, review=review, idempotency=claim)
        told.sent[f"decide-{number}"] = {"facts": facts}
        answer = {name: getattr(decision, name) for name in SHOWN}
        told.acknowledged[f"decide-{number}"] = answer
        body = {"decision_id": decision.id, "kpi": float(number), "truth": "block"}
        again = store.claim_idempotency("default", f"feedback-{number}", "hash")
        assert isinstance(again, Claim)
        given = Feedback(**body, document=None, source="load", happened_at=NOW)
        store.record_feedback("default", given, idempotency=again)
        told.sent[f"feedback-{number}"] = body
        told.acknowledged[f"feedback-{number}"] = {"decision_id": decision.id}
    return told


def test_nothing_is_found_where_all_is_well(store: Store, told: Told) -> None:
    found = audit(store, told)
    assert found.faults == {}
    assert (found.decisions, found.feedbacks, found.to_a_person) == (3, 3, 1)


@pytest.mark.parametrize(
    ("key", "part", "kind"),
    [
        ("decide-1", "acknowledged", "missing"),
        ("decide-1", "sent", "phantom"),
        ("feedback-1", "sent", "phantom"),
    ],
)
def test_the_two_ledgers_differ(store: Store, told: Told, key: str, part: str, kind: str) -> None:
    if part == "acknowledged":
        told.acknowledged[key] = {**told.acknowledged[key], "id": "another"}
    else:
        del told.sent[key]
    assert kind in audit(store, told).faults


@pytest.mark.parametrize(
    ("table", "kind"),
    [(payloads, "half-written"), (feedback, "missing")],
)
def test_a_row_is_lost(store: Store, told: Told, table: object, kind: str) -> None:
    with store.writing() as connection:
        connection.execute(delete(table))  # type: ignore[arg-type]
    assert kind in audit(store, told).faults


def test_a_feedback_is_there_twice(store: Store, told: Told) -> None:
    with store.writing() as connection:
        row = dict(connection.execute(select(feedback)).mappings().first() or {})
        del row["seq"]
        connection.execute(insert(feedback).values(row))
    assert "doubled" in audit(store, told).faults


def test_a_request_is_carried_out_twice(store: Store, told: Told) -> None:
    decision = decided("default", "support", "hello", NOW)
    store.record_decision(decision, {"amount": 0, "customer": "c"}, review=False)
    found = audit(store, told).faults
    assert "doubled" in found and "phantom" in found
