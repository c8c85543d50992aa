"""Retries, fallbacks, the budget and the deadline, with a client that does as told."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Clock
from core.money import BudgetLedger, Micros
from llm.door import LanguageResult
from llm.failover import Failover
from llm.litellm_client import CallFailed, Completion
from llm.settings import LanguageConfig, ModelConfig
from llm.task import Task, Turned
from tests.fakes.budget import BrokenBudget, MemoryBudget
from tests.fakes.chat_client import HANGS, ScriptedClient, Step
from tests.fakes.clock import FixedClock


def read(reply: str) -> str:
    if reply == "declined":
        raise Turned("llm_declined")
    if reply != "good":
        raise Turned("llm_invalid_output")
    return reply


TASK = Task(prompt="classify@0", system="s", user="u", read=read)


class Waits:
    """Stands in for sleeping, and keeps how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def failover(
    client: ScriptedClient,
    budget: BudgetLedger | None = None,
    *,
    retries: int = 2,
    clock: Clock | None = None,
    waits: Waits | None = None,
    timeout_s: float = 20.0,
) -> Failover:
    models = tuple(ModelConfig(name=name) for name in client.script)
    return Failover(
        client=client,
        config=LanguageConfig(models=models, retries=retries, timeout_s=timeout_s),
        budget=budget or MemoryBudget(),
        clock=clock or FixedClock(),
        sleep=waits or Waits(),
        jitter=lambda: 1.0,
    )


def ask(door: Failover, *, deadline_s: float = 30.0, times: int = 1) -> LanguageResult[str]:
    async def go() -> LanguageResult[str]:
        for _ in range(times):
            result = await door.ask(
                TASK, tenant_id="acme", decision="support", deadline_s=deadline_s
            )
        await door.aclose()
        return result

    return asyncio.run(go())


def test_the_first_good_reply_is_taken_with_its_bill() -> None:
    budget = MemoryBudget()
    result = ask(failover(ScriptedClient(script={"a": ["good"]}), budget))
    assert (result.value, result.reason, result.model) == ("good", None, "a-real")
    assert (result.price, result.tokens.prompt, result.tokens.completion) == (30, 10, 5)
    assert (result.raw, result.prompt) == ("good", "classify@0")
    assert (budget.states, budget.spent) == (["settled"], 30)
    (entry,) = budget.entries.values()
    assert (entry.tenant_id, entry.decision, entry.reserved) == ("acme", "support", 100)


def test_what_may_pass_is_tried_again_with_growing_waits() -> None:
    busy = CallFailed("llm_busy", retryable=True)
    waits, budget = Waits(), MemoryBudget()
    client = ScriptedClient(script={"a": [busy, busy, "good"]})
    result = ask(failover(client, budget, waits=waits))
    assert result.value == "good"
    assert [attempt.reason for attempt in result.attempts] == ["llm_busy", "llm_busy", None]
    assert waits.seconds == [0.25, 0.5]
    assert (budget.states, budget.spent) == (["released", "released", "settled"], 30)


def test_what_cannot_pass_goes_to_the_next_model_at_once() -> None:
    waits = Waits()
    for reason in ("llm_refused", "llm_late"):
        client = ScriptedClient(script={"a": [CallFailed(reason)], "b": ["good"]})
        result = ask(failover(client, waits=waits))
        assert (result.model, client.asked) == ("b-real", ["a", "b"])
    assert waits.seconds == []


@pytest.mark.parametrize(("after", "expected"), [(1.5, [1.5]), (0.0, [0.0])])
def test_retry_after_is_kept(after: float, expected: list[float]) -> None:
    waits = Waits()
    busy = CallFailed("llm_busy", retryable=True, retry_after_s=after)
    client = ScriptedClient(script={"a": [busy, "good"]})
    assert ask(failover(client, waits=waits)).value == "good"
    assert waits.seconds == expected


@pytest.mark.parametrize(("after", "deadline"), [(60.0, 30.0), (4.0, 3.0), (float("inf"), 30.0)])
def test_a_wait_too_long_is_left_to_the_next_model(after: float, deadline: float) -> None:
    waits = Waits()
    busy = CallFailed("llm_busy", retryable=True, retry_after_s=after)
    client = ScriptedClient(script={"a": [busy], "b": ["good"]})
    result = ask(failover(client, waits=waits), deadline_s=deadline)
    assert (result.model, waits.seconds) == ("b-real", [])


def test_an_unusable_reply_is_paid_for_and_goes_to_the_next_model() -> None:
    budget = MemoryBudget()
    client = ScriptedClient(script={"a": ["nonsense"], "b": ["nonsense"]})
    result = ask(failover(client, budget))
    assert (result.value, result.reason) == (None, "llm_invalid_output")
    assert (result.price, result.raw, client.asked) == (60, "nonsense", ["a", "b"])
    assert budget.spent == 60


def test_a_model_that_declines_has_answered() -> None:
    client = ScriptedClient(script={"a": ["declined"], "b": ["good"]})
    result = ask(failover(client))
    assert (result.reason, client.asked) == ("llm_declined", ["a"])


def test_over_budget_nothing_is_sent() -> None:
    client = ScriptedClient(script={"a": ["good"]})
    budget = MemoryBudget(limit=Micros(99))
    result = ask(failover(client, budget))
    assert (result.reason, client.asked, budget.entries) == ("llm_over_budget", [], {})


def test_over_budget_a_cheaper_model_may_still_be_asked() -> None:
    client = ScriptedClient(script={"a": ["good"], "b": ["good"]}, estimated={"b": Micros(10)})
    result = ask(failover(client, MemoryBudget(limit=Micros(50))))
    assert (result.model, client.asked) == ("b-real", ["b"])


def test_a_price_that_is_not_known_is_closed() -> None:
    unknown = CallFailed("llm_price_unknown")
    client = ScriptedClient(script={"a": ["good"]}, estimated={"a": unknown})
    budget = MemoryBudget()
    result = ask(failover(client, budget))
    assert (result.reason, client.asked, budget.entries) == ("llm_price_unknown", [], {})


def test_a_ledger_that_fails_is_closed() -> None:
    client = ScriptedClient(script={"a": ["good"]})
    result = ask(failover(client, BrokenBudget()))
    assert (result.reason, client.asked) == ("llm_budget_unknown", [])


def test_a_ledger_that_fails_after_the_call_keeps_its_reservation_and_the_answer() -> None:
    class Failing(MemoryBudget):
        def settle(self, reservation: str, actual: Micros) -> None:
            raise OSError("the database is gone")

    budget = Failing()
    result = ask(failover(ScriptedClient(script={"a": ["good"]}), budget))
    assert (result.value, budget.states) == ("good", ["reserved"])


def test_a_call_that_may_have_been_charged_counts_with_its_estimate() -> None:
    budget = MemoryBudget()
    cut = CallFailed("llm_unreachable", charged=True)
    result = ask(failover(ScriptedClient(script={"a": [cut]}), budget))
    assert (result.reason, result.price) == ("llm_unreachable", 100)
    assert (budget.states, budget.spent) == (["settled"], 100)


def test_a_reply_without_a_bill_counts_with_its_estimate() -> None:
    def unbilled() -> Completion:
        return Completion(text="good", model="a-real", tokens=None, price=None)

    budget = MemoryBudget()
    result = ask(failover(ScriptedClient(script={"a": [unbilled]}), budget))
    assert (result.value, result.price, budget.spent) == ("good", 100, 100)


def test_a_bill_above_the_estimate_is_told_in_full() -> None:
    def dear() -> Completion:
        return Completion(text="good", model="a-real", tokens=None, price=Micros(900))

    budget = MemoryBudget()
    assert ask(failover(ScriptedClient(script={"a": [dear]}), budget)).price == 900
    assert budget.spent == 900


def test_the_deadline_ends_a_call_and_its_reservation() -> None:
    budget = MemoryBudget()
    client = ScriptedClient(script={"a": [HANGS], "b": ["good"]})
    result = ask(failover(client, budget), deadline_s=0.05)
    assert (result.value, result.reason, client.asked) == (None, "llm_late", ["a"])
    assert (budget.states, budget.spent, result.price) == (["settled"], 100, 100)


def test_the_limit_of_a_call_leaves_time_for_the_next_model() -> None:
    client = ScriptedClient(script={"a": [HANGS], "b": ["good"]})
    result = ask(failover(client, timeout_s=0.05))
    assert (result.model, [a.reason for a in result.attempts]) == ("b-real", ["llm_late", None])


@pytest.mark.parametrize("deadline_s", [0.0, -1.0])
def test_no_time_left_nothing_is_sent(deadline_s: float) -> None:
    client, budget = ScriptedClient(script={"a": ["good"]}), MemoryBudget()
    result = ask(failover(client, budget), deadline_s=deadline_s)
    assert (result.reason, client.asked, budget.entries) == ("llm_late", [], {})


def test_a_cancelled_request_closes_its_reservation() -> None:
    budget = MemoryBudget()
    client = ScriptedClient(script={"a": [HANGS]})
    door = failover(client, budget)

    async def go() -> None:
        asking = asyncio.ensure_future(
            door.ask(TASK, tenant_id="acme", decision="support", deadline_s=30)
        )
        while not client.asked:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await door.aclose()

    asyncio.run(go())
    assert (budget.states, budget.spent) == (["settled"], 100)


def test_a_request_cancelled_while_reserving_gives_the_reservation_back() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(MemoryBudget):
        def reserve(self, *, tenant_id: str, decision: str, amount: Micros) -> str:
            entered.set()
            go_on.wait(10)
            return super().reserve(tenant_id=tenant_id, decision=decision, amount=amount)

    budget = Slow()
    client = ScriptedClient(script={"a": ["good"]})
    door = failover(client, budget)

    async def go() -> None:
        asking = asyncio.ensure_future(
            door.ask(TASK, tenant_id="acme", decision="support", deadline_s=30)
        )
        await asyncio.to_thread(entered.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        while budget.states != ["released"]:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(go(), 10))
    assert client.asked == []


def test_the_breaker_leaves_a_failing_model_alone_and_probes_later() -> None:
    clock = FixedClock()
    failing: list[Step] = [CallFailed("llm_failing")] * 5
    client = ScriptedClient(script={"a": [*failing, "good"]})
    door = failover(client, clock=clock, retries=0)
    assert ask(door, times=5).reason == "llm_failing"
    paused = ask(door)
    assert (paused.reason, len(client.asked)) == ("llm_paused", 5)
    assert [attempt.reason for attempt in paused.attempts] == ["llm_paused"]
    clock.advance(seconds=30)
    assert ask(door).value == "good"
    assert ask(door).value == "good"


def test_an_unusable_reply_says_nothing_against_a_models_health() -> None:
    client = ScriptedClient(script={"a": ["nonsense"]})
    assert ask(failover(client), times=8).reason == "llm_invalid_output"
    assert len(client.asked) == 8


def test_a_deadline_shorter_than_a_fair_time_says_nothing_either() -> None:
    client = ScriptedClient(script={"a": [HANGS]})
    assert ask(failover(client), times=7, deadline_s=0.01).reason == "llm_late"
    assert len(client.asked) == 7


STEPS: st.SearchStrategy[Step] = st.sampled_from(
    [
        "good",
        "nonsense",
        "declined",
        CallFailed("llm_busy", retryable=True),
        CallFailed("llm_busy", retryable=True, retry_after_s=99),
        CallFailed("llm_failing", retryable=True),
        CallFailed("llm_unreachable", retryable=True, charged=True),
        CallFailed("llm_refused"),
    ]
)


@given(
    st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=1, max_size=3),
    st.integers(min_value=0, max_value=600),
    st.integers(min_value=1, max_value=4),
)
def test_money_is_never_spent_beyond_the_budget_nor_lost(
    scripts: list[list[Step]], limit: int, times: int
) -> None:
    client = ScriptedClient(script={f"m{n}": steps for n, steps in enumerate(scripts)})
    budget = MemoryBudget(limit=Micros(limit))
    door = failover(client, budget)
    results = []
    for _ in range(times):
        results.append(ask(door))
    assert budget.spent <= limit
    assert "reserved" not in budget.states
    assert len(budget.entries) == len(client.asked)
    assert sum(result.price for result in results) == budget.spent
    for result in results:
        assert (result.value is None) == (result.reason is not None)
