"""Decisions come back as they were made, whole or not at all."""

import pytest
from sqlalchemy import func, select

from core.contracts import Decision
from core.errors import Conflict, InvalidRequest, NotFound
from core.spec.costs import LONGEST_DEADLINE_MS
from core.store import Claim, Replay, Store
from core.store.tables import decisions, feedback, outbox, payloads, reviews
from tests.fakes.clock import FixedClock
from tests.fakes.decisions import FACTS, full_decision, told


def counts(store: Store) -> list[int]:
    with store.reading() as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (decisions, payloads, reviews, outbox, feedback)
        ]


def test_a_decision_is_rebuilt_as_an_equal_object(store: Store) -> None:
    made = full_decision()
    store.record_decision(made, FACTS, review=False)
    found = store.decision("acme", "d1")
    assert found is not None
    assert found.decision == made
    assert isinstance(found.decision, Decision)
    assert found.facts == FACTS
    assert found.feedback == ()


def test_with_it_goes_where_asked_one_review_and_no_message(store: Store) -> None:
    store.record_decision(full_decision("d1"), FACTS, review=False)
    assert counts(store) == [1, 1, 0, 0, 0]
    store.record_decision(full_decision("d2"), FACTS, review=True)
    assert counts(store) == [2, 2, 1, 0, 0]


def test_the_same_id_twice_is_a_conflict_and_the_first_stays(store: Store) -> None:
    store.record_decision(full_decision(), FACTS, review=True)
    with pytest.raises(Conflict) as caught:
        store.record_decision(full_decision(), {"other": 1}, review=True)
    assert caught.value.code == "RUNG-DECISION-EXISTS"
    found = store.decision("acme", "d1")
    assert found is not None and found.facts == FACTS
    assert counts(store) == [1, 1, 1, 0, 0]


def test_two_tenants_may_use_the_same_id(store: Store) -> None:
    store.record_decision(full_decision(tenant_id="acme"), {"whose": "acme"}, review=True)
    store.record_decision(full_decision(tenant_id="other"), {"whose": "other"}, review=True)
    for tenant in ("acme", "other"):
        found = store.decision(tenant, "d1")
        assert found is not None and found.facts == {"whose": tenant}


def test_feedback_is_kept_in_the_order_in_which_it_was_told(store: Store) -> None:
    store.record_decision(full_decision(), FACTS, review=False)
    for truth in ("block", None, "answer"):
        store.record_feedback("acme", told(truth=truth))
    found = store.decision("acme", "d1")
    assert found is not None
    assert found.feedback == (told(truth="block"), told(truth=None), told(truth="answer"))


@pytest.mark.parametrize(("tenant", "decision"), [("acme", "d2"), ("other", "d1")])
def test_feedback_on_nothing_is_not_found(store: Store, tenant: str, decision: str) -> None:
    store.record_decision(full_decision(), FACTS, review=False)
    with pytest.raises(NotFound) as caught:
        store.record_feedback(tenant, told(decision))
    assert caught.value.code == "RUNG-DECISION-ID"
    assert counts(store)[-1] == 0


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x" * 101])
def test_texts_that_a_database_cannot_hold_are_refused_alike(store: Store, bad: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.decision("acme", bad)
    assert caught.value.code == "RUNG-TEXT-INVALID"
    store.record_decision(full_decision(), {"hostile": "a\0b\ud800"}, review=False)
    found = store.decision("acme", "d1")
    assert found is not None and found.facts == {"hostile": "a\0b\ud800"}


def claimed(store: Store, key: str = "k", request: str = "hash") -> Claim:
    claim = store.claim_idempotency("acme", key, request)
    assert isinstance(claim, Claim)
    return claim


def test_a_key_is_answered_once_and_replayed_for_a_day(store: Store, clock: FixedClock) -> None:
    claim = claimed(store)
    with pytest.raises(Conflict) as caught:
        store.claim_idempotency("acme", "k", "hash")
    assert (caught.value.code, caught.value.retryable) == ("RUNG-IDEMPOTENCY-INFLIGHT", True)
    store.record_decision(full_decision(), FACTS, review=False, idempotency=claim)
    replay = Replay(decision_id="d1", response=None)
    assert store.claim_idempotency("acme", "k", "hash") == replay
    with pytest.raises(InvalidRequest) as other:
        store.claim_idempotency("acme", "k", "another hash")
    assert other.value.code == "RUNG-IDEMPOTENCY-MISMATCH"
    clock.advance(hours=23, minutes=59)
    assert store.claim_idempotency("acme", "k", "hash") == replay
    clock.advance(minutes=2)
    assert isinstance(store.claim_idempotency("acme", "k", "another hash"), Claim)


def test_the_key_of_a_process_that_died_passes_on_after_its_lease(
    store: Store, clock: FixedClock
) -> None:
    dead = claimed(store)
    clock.advance(milliseconds=LONGEST_DEADLINE_MS + 30_000)  # it may be deciding still
    with pytest.raises(Conflict):
        claimed(store)
    clock.advance(seconds=30)
    living = claimed(store)
    with pytest.raises(Conflict) as caught:
        store.record_decision(full_decision("d0"), FACTS, review=True, idempotency=dead)
    assert caught.value.code == "RUNG-IDEMPOTENCY-LOST"
    assert counts(store) == [0, 0, 0, 0, 0]
    store.record_decision(full_decision("d1"), FACTS, review=False, idempotency=living)
    assert counts(store) == [1, 1, 0, 0, 0]


def test_an_abandoned_key_is_free_and_a_completed_one_stays(store: Store) -> None:
    first = claimed(store)
    store.abandon(first)
    second = claimed(store, request="another hash")
    store.abandon(first)  # late: it is not its claim any more
    with pytest.raises(Conflict):
        store.claim_idempotency("acme", "k", "another hash")
    store.record_decision(full_decision(), FACTS, review=False, idempotency=second)
    store.abandon(second)
    assert isinstance(store.claim_idempotency("acme", "k", "another hash"), Replay)


def test_a_key_that_had_begun_stays_with_its_request(store: Store) -> None:
    first = claimed(store)
    store.abandon(first, begun=True)
    with pytest.raises(InvalidRequest):
        store.claim_idempotency("acme", "k", "another hash")
    again = claimed(store)
    store.abandon(first, begun=True)  # late
    with pytest.raises(Conflict):
        claimed(store)
    store.complete_claim(again, {"told": 1})
    store.abandon(again, begun=True)
    assert isinstance(store.claim_idempotency("acme", "k", "hash"), Replay)


def test_feedback_completes_a_claim_with_its_row_or_not_at_all(store: Store) -> None:
    store.record_decision(full_decision(), FACTS, review=False)
    claim = claimed(store)
    with pytest.raises(NotFound):
        store.record_feedback("acme", told("unknown"), claim)
    store.record_feedback("acme", told(), claim)
    again = store.claim_idempotency("acme", "k", "hash")
    assert again == Replay(decision_id="d1", response=None)
    with pytest.raises(Conflict):
        store.record_feedback("acme", told(), claim)
    assert counts(store)[-1] == 1


def test_pruning_forgets_what_is_over_and_nothing_else(store: Store, clock: FixedClock) -> None:
    claimed(store, "old")
    clock.advance(hours=12)
    claimed(store, "young")
    clock.advance(hours=12, seconds=1)
    assert store.prune_idempotency() == 1
    assert store.prune_idempotency() == 0


def test_a_claim_of_many_effects_is_completed_by_itself(store: Store) -> None:
    claim = claimed(store)
    response = {"status": 200, "body": ["as", "sent"]}
    store.complete_claim(claim, response)
    replay = Replay(decision_id=None, response=response)
    assert store.claim_idempotency("acme", "k", "hash") == replay
    with pytest.raises(Conflict) as caught:
        store.complete_claim(claim, {})
    assert caught.value.code == "RUNG-IDEMPOTENCY-LOST"
