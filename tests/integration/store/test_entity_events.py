"""Events are told once, never change, and are read as they were known at a moment."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.entity_features import EntityEvent
from core.errors import Conflict, InvalidSettings
from core.store import Store
from core.store.tables import entity_events
from tests.fakes.clock import FixedClock

DAY = timedelta(days=1)


def event(clock: FixedClock, id: str = "e1", **changed: object) -> EntityEvent:
    told = EntityEvent(
        entity="c1",
        id=id,
        kind="payment",
        happened_at=clock.now() - DAY,
        known_at=clock.now(),
        values={"amount": 12.5, "shop": None},
    )
    return replace(told, **changed)  # type: ignore[arg-type]


def state(store: Store, at: datetime, entity: str = "c1") -> list[str]:
    events, _ = store.entity_state("acme", "customer", entity, at=at, within=30 * DAY)
    return sorted(event.id for event in events)


def test_told_again_nothing_changes(store: Store, clock: FixedClock) -> None:
    first = event(clock)
    assert store.record_events("acme", "customer", [first]) == 1
    when = clock.now()
    clock.advance(days=1)
    again = [first, event(clock, "e2"), replace(first)]
    assert store.record_events("acme", "customer", [first, again[1], again[2]]) == 1
    (kept,) = [
        e
        for e in store.entity_state("acme", "customer", "c1", at=clock.now(), within=9 * DAY)[0]
        if e.id == "e1"
    ]
    assert kept == replace(first, known_at=when)


@pytest.mark.parametrize(
    "changed", [{"values": {"amount": 13.0, "shop": None}}, {"kind": "refund"}, {"happened_at": 0}]
)
def test_the_same_id_with_other_content_is_refused_whole(
    store: Store, clock: FixedClock, changed: dict[str, object]
) -> None:
    store.record_events("acme", "customer", [event(clock)])
    if "happened_at" in changed:
        changed = {"happened_at": clock.now()}
    with pytest.raises(Conflict) as caught:
        store.record_events("acme", "customer", [event(clock, "e2"), event(clock, **changed)])
    assert caught.value.code == "RUNG-EVENT-CHANGED"
    assert state(store, clock.now()) == ["e1"]
    with pytest.raises(Conflict):  # within one request too
        store.record_events("acme", "customer", [event(clock, "e3"), event(clock, "e3", **changed)])
    assert state(store, clock.now()) == ["e1"]


def test_an_id_is_of_one_entity_one_type_and_one_tenant(store: Store, clock: FixedClock) -> None:
    for tenant, kind, entity in (
        ("acme", "customer", "c1"),
        ("acme", "customer", "c2"),
        ("acme", "merchant", "c1"),
        ("other", "customer", "c1"),
    ):
        told = event(clock, entity=entity, values={"of": f"{tenant} {kind} {entity}"})
        assert store.record_events(tenant, kind, [told]) == 1
    assert state(store, clock.now()) == ["e1"] and state(store, clock.now(), "c3") == []


def test_what_was_known_and_when(store: Store, clock: FixedClock) -> None:
    start = clock.now()
    at = {"early": start - 31 * DAY, "first": start - 30 * DAY, "last": start, "later": start + DAY}
    store.record_events("acme", "customer", [event(clock, n, happened_at=t) for n, t in at.items()])
    clock.advance(days=2)
    store.record_events("acme", "customer", [event(clock, "late", happened_at=start - DAY)])
    assert state(store, start - timedelta(microseconds=1)) == []
    assert state(store, start) == ["last"]  # the window is open where it starts
    assert state(store, start - timedelta(0) + DAY) == ["last", "later"]
    assert state(store, clock.now()) == ["last", "late", "later"]
    watermarks = [
        store.entity_state("acme", "customer", "nobody", at=t, within=DAY)[1]
        for t in (start - DAY, start, clock.now() - DAY, clock.now())
    ]
    assert watermarks == [None, start, start, clock.now()]
    first_year = datetime(1, 1, 1, tzinfo=UTC)
    assert state(store, first_year) == []


def test_the_entity_itself_is_not_stored(store: Store, clock: FixedClock) -> None:
    store.record_events("acme", "customer", [event(clock, entity="4111 1111 1111 1111")])
    with store.reading() as connection:
        (row,) = connection.execute(select(entity_events)).all()
    assert "4111" not in str(tuple(row)) and len(row.entity) == 24


def test_more_than_one_statement_takes(store: Store, clock: FixedClock) -> None:
    told = [event(clock, f"e{n}") for n in range(2_500)]
    assert store.record_events("acme", "customer", told) == 2_500
    assert store.record_events("acme", "customer", told) == 0
    assert len(list(store.entity_log("acme", "customer"))) == 2_500


def test_the_same_event_from_many_at_once_is_new_once(store: Store, clock: FixedClock) -> None:
    new: list[int] = []
    together = threading.Barrier(6)

    def tell() -> None:
        together.wait()
        new.append(store.record_events("acme", "customer", [event(clock, f"e{n}") for n in "abc"]))

    threads = [threading.Thread(target=tell) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 3 and len(new) == 6


def test_without_the_secret_there_are_no_pseudonyms(url: str, clock: FixedClock) -> None:
    bare = Store.open(url, clock)
    with pytest.raises(InvalidSettings):
        bare.record_events("acme", "customer", [event(clock)])
    bare.close()
