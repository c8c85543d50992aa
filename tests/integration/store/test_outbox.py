"""The outbox on both databases: in order, and nothing is lost where a broker or a sender is."""

from collections.abc import Mapping
from typing import Any

import pytest

from core.contracts import Json
from core.errors import Unavailable
from core.jobs import Dispatcher, JobLedger, Outbox
from core.store import Store
from tests.fakes.clock import FixedClock


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


def enqueue(ledger: JobLedger, content: str = "hash") -> str:
    return ledger.enqueue("acme", "embed", {"of": content}, content)


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
