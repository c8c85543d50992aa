"""A budget of time on a loaded machine: a neighbour's load is no fault, a slow row is one."""

import time
from dataclasses import dataclass

import numpy as np

from core.clock import SystemClock
from core.contracts import Request, Verdict
from core.spec import Costs
from lab.decision_rows import DecisionRow
from lab.latency import (
    PASSES,
    TIMED_ROWS,
    Places,
    p95_of_least,
    time_ladder,
    timed_places,
    took_ms,
)
from router.ladder import Ladder
from router.policy import CostPolicy
from router.reading import Known

CHEAP = Costs.model_validate(
    {
        "currency": "EUR",
        "error": 1,
        "wrong_answer": 1,
        "person": {"price": 9, "minutes": 0, "error_rate": 0},
        "rungs": {"classical": {"cost_after": 0}, "llm": {"cost_after": 0}},
    }
)


class Machine:
    """Rows take what they take, and what others do to it at the moment; counts what is timed."""

    def __init__(self, own: np.ndarray, busy: float, seed: int = 0) -> None:
        self._own, self._busy = own, busy
        self._source = np.random.default_rng(seed)
        self.timed: list[int] = []

    def again(self, places: Places) -> list[float]:
        self.timed.append(len(places))
        slowed = self._source.random(len(places)) < self._busy
        return (self._own[places] * np.where(slowed, 10, 1)).tolist()

    def p95(self, limit: float) -> float:
        return p95_of_least(self.again(np.arange(len(self._own))), limit, self.again)


def test_one_pass_is_enough_where_all_is_well() -> None:
    machine = Machine(np.full(200, 20.0), busy=0.02)
    assert machine.p95(100) <= 100
    assert machine.timed == [200]


def test_a_machine_that_is_busy_a_third_of_the_time_flips_no_verdict() -> None:
    own = np.random.default_rng(1).uniform(10, 40, 200)
    assert all(Machine(own, 0.3, seed).p95(100) <= 100 for seed in range(50))
    slow = np.where(np.arange(200) < 20, 120.0, own)  # a tenth of the rows is above the budget
    assert all(Machine(slow, 0.3, seed).p95(100) > 100 for seed in range(50))


def test_only_rows_above_the_limit_are_timed_again() -> None:
    own = np.where(np.arange(100) < 30, 200.0, 10.0)
    machine = Machine(own, busy=0.0)
    assert machine.p95(100) == 200
    assert machine.timed == [100] + [30] * (PASSES - 1)


def test_a_tenth_of_slow_rows_is_above_and_a_twentieth_is_not() -> None:
    for slow, within in ((4, True), (10, False)):
        own = np.where(np.arange(100) < slow, 101.0, 10.0)
        assert (Machine(own, busy=0.0).p95(100) <= 100) is within


def test_rows_are_spread_over_the_whole_table() -> None:
    places = timed_places(5000)
    assert len(places) == TIMED_ROWS and (places[0], places[-1]) == (0, 4999)
    assert timed_places(3).tolist() == [0, 1, 2]


def test_what_a_call_waits_for_others_is_not_its_time() -> None:
    """Sleeping stands for a processor that others have."""
    assert took_ms(lambda: time.sleep(0.2)) < 100
    started = time.process_time()
    worked = took_ms(lambda: sum(range(2_000_000)))
    assert 0 < worked <= (time.process_time() - started) * 1000 + 1


def test_a_ladder_is_timed_without_its_language_model() -> None:
    asked: list[str] = []

    @dataclass(frozen=True, kw_only=True)
    class Listening:
        name: str
        version: str = "1"

        async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
            asked.append(self.name)
            return Verdict(outcomes=(), reasons=(), version="1", rung=self.name)

    names = ("rules", "classical", "llm")
    ladder = Ladder(
        name="d",
        release="r",
        read=lambda request: Known(belief={}),
        rungs={name: Listening(name=name) for name in names},
        order=(*names, "person"),
        handlers={},
        policy=CostPolicy(costs=CHEAP, after={}),
        deadline_ms=1e6,
        clock=SystemClock(),
    )
    row = DecisionRow(facts={}, intent="", truth="", documents=frozenset(), risky=None)
    assert len(time_ladder(ladder, [row] * 3, "ladder", np.array([0, 2]))) == 2
    assert asked == ["rules", "classical"] * 2
    asked.clear()
    time_ladder(ladder, [row] * 3, "rules", np.array([1]))
    assert asked == ["rules"]
