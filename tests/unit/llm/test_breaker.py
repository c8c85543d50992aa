"""Open after five failures in a row, one probe a pause, closed by a success."""

from core.clock import Clock
from llm.breaker import CircuitBreaker
from tests.fakes.clock import FixedClock


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(clock)
    for _ in range(5):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_opens_after_five_failures_in_a_row() -> None:
    breaker = CircuitBreaker(FixedClock())
    for _ in range(3):
        for _ in range(4):
            breaker.failed()
        breaker.succeeded()
    assert breaker.admits()
    assert not opened(FixedClock()).admits()


def test_one_probe_a_pause() -> None:
    clock = FixedClock()
    breaker = opened(clock)
    clock.advance(seconds=29)
    assert not breaker.admits()
    clock.advance(seconds=1)
    assert breaker.admits()
    assert not breaker.admits()
    clock.advance(seconds=30)
    assert breaker.admits()


def test_a_failed_probe_pauses_again_and_a_good_one_closes() -> None:
    clock = FixedClock()
    breaker = opened(clock)
    clock.advance(seconds=31)
    assert breaker.admits()
    breaker.failed()
    clock.advance(seconds=29)
    assert not breaker.admits()
    clock.advance(seconds=1)
    assert breaker.admits()
    breaker.succeeded()
    assert all(breaker.admits() for _ in range(3))


def test_a_clock_set_back_by_a_day_does_not_keep_it_open() -> None:
    clock = FixedClock()
    breaker = opened(clock)
    clock.advance(days=-1)
    assert breaker.admits()
    assert not breaker.admits()
