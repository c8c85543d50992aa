"""Whatever the other side does, the caller gets an abstention in time, and the books balance."""

import asyncio
import logging
import socket

import pytest

from core.contracts import Answer
from llm import LanguageDoor, LanguageResult
from tests.fakes.budget import BrokenBudget, MemoryBudget
from tests.fakes.clock import FixedClock
from tests.fakes.fake_llm import GOOD, KEY, REFUNDS, WHOSE, config_for, with_door
from tests.fakes.openai_server import Answers, Behaviour, Fails, OpenAIServer, Resets, Sends

CHARGED, FREE = "settled", "released"
NO_CONTENT = (
    b'{"object": "chat.completion", "choices": [{"index": 0, "message": {"content": null}}]}'
)
FAULTS: dict[str, tuple[Behaviour, str, str]] = {
    "too many requests": (Fails(status=429), "llm_busy", FREE),
    "too many, come back in an hour": (Fails(status=429, retry_after="3600"), "llm_busy", FREE),
    "unavailable": (Fails(status=503), "llm_busy", FREE),
    "overloaded": (Fails(status=529), "llm_busy", FREE),
    "internal error": (Fails(status=500), "llm_failing", FREE),
    "bad gateway": (Fails(status=502), "llm_failing", FREE),
    "bad request": (Fails(status=400), "llm_refused", FREE),
    "wrong key": (Fails(status=401, message=f"no such key {KEY}"), "llm_refused", FREE),
    "forbidden": (Fails(status=403), "llm_refused", FREE),
    "no such model": (Fails(status=404), "llm_refused", FREE),
    "unprocessable": (Fails(status=422), "llm_refused", FREE),
    "cut off in the body": (Answers(text=GOOD, cut_after=60), "llm_unreachable", CHARGED),
    "cut off before the body": (Answers(text=GOOD, cut_after=0), "llm_unreachable", CHARGED),
    "reset": (Resets(), "llm_unreachable", CHARGED),
    "slow": (Answers(text=GOOD, delay_s=60), "llm_late", CHARGED),
    "slow drip": (Answers(text=GOOD, drip_s=0.05), "llm_late", CHARGED),
    "invalid JSON": (Sends(payload=b"<html>Oops</html>"), "llm_failing", CHARGED),
    "no UTF-8": (Sends(payload=b"\xff\xfe\x00"), "llm_failing", CHARGED),
    "empty body": (Sends(payload=b""), "llm_failing", CHARGED),
    "JSON, but a list": (Sends(payload=b"[]"), "llm_failing", CHARGED),
    "JSON, but null": (Sends(payload=b"null"), "llm_failing", CHARGED),
    "JSON of another shape": (Sends(payload=b'{"a": 1}'), "llm_failing", CHARGED),
    "no choices": (Sends(payload=b'{"choices": []}'), "llm_invalid_output", CHARGED),
    "no content": (Sends(payload=NO_CONTENT), "llm_invalid_output", CHARGED),
    "prose": (Answers(text="Five days, I think."), "llm_invalid_output", CHARGED),
    "wrong schema": (Answers(text='{"reply": "Five"}'), "llm_invalid_output", CHARGED),
    "cut by max_tokens": (
        Answers(text=GOOD[:30], finish_reason="length"),
        "llm_invalid_output",
        CHARGED,
    ),
    "invented source": (Answers(text=GOOD.replace("refund-", "x-")), "llm_ungrounded", CHARGED),
}


async def ask(door: LanguageDoor, deadline_s: float = 20) -> LanguageResult[Answer]:
    return await door.answer("How long?", [REFUNDS], **WHOSE, deadline_s=deadline_s)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_abstention_and_the_books_balance(fault: str) -> None:
    behaviour, reason, state = FAULTS[fault]
    budget = MemoryBudget()
    with OpenAIServer(behaviour) as server:
        result = asyncio.run(with_door(config_for(server, timeout_s=1.0), ask, budget=budget))
    assert (result.value, result.reason) == (None, reason)
    assert (budget.states, len(server.received)) == ([state], 1)
    assert result.price == budget.spent
    assert (budget.spent > 0) == (state == CHARGED)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_model_answers_in_its_place(fault: str) -> None:
    with OpenAIServer(FAULTS[fault][0]) as broken, OpenAIServer(Answers(text=GOOD)) as sound:
        config = config_for(broken, sound, timeout_s=1.0)
        result = asyncio.run(with_door(config, ask))
    assert result.value is not None
    assert [a.reason for a in result.attempts] == [FAULTS[fault][1], None]


@pytest.mark.parametrize("fault", ["too many requests", "internal error", "reset"])
def test_what_passes_is_tried_again(fault: str) -> None:
    with OpenAIServer(FAULTS[fault][0], Answers(text=GOOD)) as server:
        result = asyncio.run(with_door(config_for(server, retries=2), ask))
    assert (result.reason, len(server.received)) == (None, 2)


def test_retry_after_is_waited_for() -> None:
    with OpenAIServer(Fails(status=429, retry_after="1"), Answers(text=GOOD)) as server:
        result = asyncio.run(with_door(config_for(server, retries=1), ask))
    first, second = server.received
    assert result.value is not None and second.at - first.at >= 1.0


def test_a_retry_after_that_is_a_date_is_left_to_the_next_model() -> None:
    later = Fails(status=503, retry_after="Wed, 21 Oct 2030 07:28:00 GMT")
    with OpenAIServer(later) as broken, OpenAIServer(Answers(text=GOOD)) as sound:
        result = asyncio.run(with_door(config_for(broken, sound, retries=3), ask))
    assert result.value is not None and len(broken.received) == 1


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        budget = MemoryBudget()
        result = asyncio.run(with_door(config_for(url), ask, budget=budget))
    assert (result.reason, budget.states) == ("llm_unreachable", [FREE])


@pytest.mark.parametrize("fault", ["slow", "slow drip"])
def test_the_deadline_holds_where_the_limit_of_a_call_is_longer(fault: str) -> None:
    """Unhurried, the same call would get its good answer after 20 or 60 s."""

    async def hurried(door: LanguageDoor) -> LanguageResult[Answer]:
        return await ask(door, deadline_s=0.3)

    budget = MemoryBudget()
    with OpenAIServer(FAULTS[fault][0]) as server:
        config = config_for(server, timeout_s=90)
        result = asyncio.run(with_door(config, hurried, budget=budget))
    assert (result.reason, budget.states) == ("llm_late", [CHARGED])


def test_a_ledger_that_is_gone_sends_nothing() -> None:
    with OpenAIServer(Answers(text=GOOD)) as server:
        result = asyncio.run(with_door(config_for(server), ask, budget=BrokenBudget()))
    assert (result.reason, server.received) == ("llm_budget_unknown", [])


def test_a_model_that_keeps_failing_is_left_alone_and_found_again() -> None:
    clock = FixedClock()

    async def use(door: LanguageDoor) -> list[str | None]:
        reasons = [(await ask(door)).reason for _ in range(6)]
        clock.advance(seconds=31)
        return [*reasons, (await ask(door)).reason, (await ask(door)).reason]

    with OpenAIServer(*[Fails(status=500)] * 5, Answers(text=GOOD)) as server:
        reasons = asyncio.run(with_door(config_for(server), use, clock=clock))
    assert reasons == ["llm_failing"] * 5 + ["llm_paused", None, None]
    assert len(server.received) == 7


@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_and_no_text_reach_logs_output_or_result(
    fault: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="rung.llm")
    with OpenAIServer(FAULTS[fault][0]) as server:
        result = asyncio.run(with_door(config_for(server, timeout_s=1.0), ask))
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    out, err = capfd.readouterr()
    shown = f"{caplog.text}{out}{err}{result!r}"
    assert KEY not in shown
    assert REFUNDS.text not in f"{caplog.text}{out}{err}"
    assert "abstains" in caplog.text
