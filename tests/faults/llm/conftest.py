"""The very first call of a process loads and compiles more than any later one."""

import asyncio

import pytest

from tests.fakes.fake_llm import GOOD, REFUNDS, WHOSE, config_for, with_door
from tests.fakes.openai_server import Answers, OpenAIServer


@pytest.fixture(scope="session", autouse=True)
def first_call() -> None:
    with OpenAIServer(Answers(text=GOOD)) as server:
        result = asyncio.run(
            with_door(
                config_for(server, timeout_s=60),
                lambda door: door.answer("How long?", [REFUNDS], **WHOSE, deadline_s=60),
            )
        )
    assert result.value is not None
