"""The queue for people: one at a time, nothing lost, and an outcome is feedback."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core.contracts import ANSWER
from core.errors import Conflict, InvalidRequest, NotFound
from core.store import Candidate, Claim, Replay, ReviewItem, Store
from core.store.idempotency import Effects, completing
from tests.fakes.clock import FixedClock
from tests.fakes.decisions import FACTS, full_decision


def opened(store: Store, id: str = "d1") -> ReviewItem:
    store.record_decision(full_decision(id), FACTS, review=True)
    return next(item for item in store.reviews("acme") if item.decision_id == id)


def test_it_shows_what_a_person_needs(store: Store, clock: FixedClock) -> None:
    item = opened(store)
    decision = full_decision()
    assert item.facts == FACTS
    assert item.state == "open" and not item.overdue
    assert item.due_at == clock.now() + timedelta(hours=4)
    assert item.reasons == (
        "rules: no rule holds",
        "rules: nothing known",
        "retrieval: no passage is sure to answer",
        "retrieval: 4.00 < 3.50",
    )
    assert item.candidates == (
        Candidate(outcome="person", probability=0.5),
        Candidate(outcome="answer", probability=0.4),
        Candidate(outcome="block", probability=0.1),
    )
    assert item.evidence == decision.steps[1].verdict.evidence
    assert item.draft == decision.steps[1].verdict.answer


def test_a_claim_is_a_lease(store: Store, clock: FixedClock) -> None:
    item = opened(store)
    claimed = store.claim_review("acme", item.id, "ann")
    assert (claimed.state, claimed.claimed_by) == ("claimed", "ann")
    with pytest.raises(Conflict) as caught:
        store.claim_review("acme", item.id, "bob")
    assert caught.value.code == "RUNG-REVIEW-CLAIMED"
    assert caught.value.retry_after == 15 * 60
    store.claim_review("acme", item.id, "ann")
    with pytest.raises(Conflict):
        store.resolve_review("acme", item.id, "bob", "block")
    clock.advance(minutes=15)
    assert store.review("acme", item.id).state == "open"
    assert store.claim_review("acme", item.id, "bob").claimed_by == "bob"


def test_resolving_is_feedback_once(store: Store, clock: FixedClock) -> None:
    item = opened(store)
    store.claim_review("acme", item.id, "ann")
    done = store.resolve_review("acme", item.id, "ann", ANSWER, "refunds", "asked twice")
    assert (done.state, done.truth, done.document) == ("resolved", ANSWER, "refunds")
    assert (done.note, done.resolved_at) == ("asked twice", clock.now())
    for who in ("ann", "bob"):
        with pytest.raises(Conflict) as caught:
            store.resolve_review("acme", item.id, who, "block")
        assert (caught.value.code, caught.value.retryable) == ("RUNG-REVIEW-RESOLVED", False)
    with pytest.raises(Conflict):
        store.claim_review("acme", item.id, "bob")
    found = store.decision("acme", "d1")
    assert found is not None
    assert [(f.truth, f.document, f.source) for f in found.feedback] == [
        (ANSWER, "refunds", "review")
    ]
    events = store.review_events("acme", item.id)
    assert [(event.event, event.who) for event in events] == [
        ("opened", "rung"),
        ("claimed", "ann"),
        ("resolved", "ann"),
    ]


def test_a_snooze_ends_by_itself_and_moves_no_term(store: Store, clock: FixedClock) -> None:
    item = opened(store)
    until = clock.now() + timedelta(hours=6)
    snoozed = store.snooze_review("acme", item.id, "ann", until, "waits for the bank")
    assert (snoozed.state, snoozed.held_until) == ("snoozed", until)
    assert store.reviews("acme", "open") == ()
    clock.advance(hours=6)
    (again,) = store.reviews("acme", "open")
    assert (again.due_at, again.overdue) == (item.due_at, True)
    assert store.reviews("acme", "snoozed") == ()
    for late in (clock.now(), clock.now() + timedelta(days=32)):
        with pytest.raises(InvalidRequest):
            store.snooze_review("acme", item.id, "ann", late)


def test_pages_hold_each_once_in_the_order_of_their_terms(store: Store, clock: FixedClock) -> None:
    pauses = [0, 1, 0, 2, 1, 0, 0]
    for place, hours in enumerate(pauses):
        clock.advance(hours=hours)
        opened(store, f"d{place}")
    seen: list[ReviewItem] = []
    while page := store.reviews("acme", limit=3, after=seen[-1].id if seen else None):
        seen += page
    assert [item.due_at for item in seen] == sorted(item.due_at for item in seen)
    assert sorted(item.decision_id for item in seen) == [f"d{n}" for n in range(len(pauses))]


@pytest.mark.parametrize("state", ["open", "claimed", "snoozed", "resolved"])
def test_each_state_lists_its_own(store: Store, clock: FixedClock, state: Any) -> None:
    items = {
        name: opened(store, f"d-{name}") for name in ("open", "claimed", "snoozed", "resolved")
    }
    store.claim_review("acme", items["claimed"].id, "ann")
    store.snooze_review("acme", items["snoozed"].id, "ann", clock.now() + timedelta(hours=1))
    store.resolve_review("acme", items["resolved"].id, "ann", "block")
    assert [item.id for item in store.reviews("acme", state)] == [items[state].id]


CHANGES: dict[str, Callable[[Store, str, Effects[ReviewItem] | None], ReviewItem]] = {
    "claim": lambda store, id, effects: store.claim_review("acme", id, "ann", effects=effects),
    "resolve": lambda store, id, effects: store.resolve_review(
        "acme", id, "ann", "block", effects=effects
    ),
    "snooze": lambda store, id, effects: store.snooze_review(
        "acme", id, "ann", store.now() + timedelta(hours=1), effects=effects
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_completes_its_claim_or_changes_nothing(
    store: Store, clock: FixedClock, change: Any
) -> None:
    def completing_by(claim: Claim | Replay) -> Effects[ReviewItem]:
        assert isinstance(claim, Claim)
        return completing(claim, store.now(), lambda item: {"state": item.state})

    item = opened(store)
    late = completing_by(store.claim_idempotency("acme", "k", "hash"))
    clock.advance(minutes=5)
    held = completing_by(store.claim_idempotency("acme", "k", "hash"))
    with pytest.raises(Conflict) as caught:
        change(store, item.id, late)
    assert caught.value.code == "RUNG-IDEMPOTENCY-LOST"
    assert store.review("acme", item.id) == item
    assert len(store.review_events("acme", item.id)) == 1
    changed = change(store, item.id, held)
    replay = store.claim_idempotency("acme", "k", "hash")
    assert replay == Replay(decision_id=None, response={"state": changed.state})


def test_an_unknown_one_is_not_found(store: Store) -> None:
    for call in (
        lambda: store.review("acme", "no"),
        lambda: store.claim_review("acme", "no", "ann"),
        lambda: store.resolve_review("acme", "no", "ann", "block"),
        lambda: store.reviews("acme", after="no"),
    ):
        with pytest.raises(NotFound) as caught:
            call()
        assert caught.value.code == "RUNG-REVIEW-ID"
