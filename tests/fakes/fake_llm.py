"""A LanguageDoor through real litellm to the OpenAI-compatible fake, as the tests configure it."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeVar

from core.clock import Clock
from core.contracts import Passage
from core.money import BudgetLedger
from llm import LanguageConfig, LanguageDoor, open_door
from tests.fakes.budget import MemoryBudget
from tests.fakes.clock import FixedClock
from tests.fakes.openai_server import OpenAIServer

T = TypeVar("T")

KEY = "sk-test-0123456789-secret"
REFUNDS = Passage(
    document="refund-times", title="Refunds", text="A refund takes five days.", score=1.0
)
GOOD = '{"answer": "A refund takes five days.", "citations": ["refund-times"]}'
WHOSE = {"tenant_id": "acme", "decision": "support"}


def config_for(*servers: OpenAIServer | str, **settings: Any) -> LanguageConfig:
    """One model a server, at 2 and 10 of the currency for a million tokens."""
    models = [
        {
            "name": "openai/fake",
            "api_base": server if isinstance(server, str) else server.url,
            "api_key": KEY,
            "input_price_per_million": Decimal(2),
            "output_price_per_million": Decimal(10),
        }
        for server in servers
    ]
    return LanguageConfig.model_validate({"models": models, "retries": 0, **settings})


async def with_door(
    config: LanguageConfig,
    use: Callable[[LanguageDoor], Awaitable[T]],
    *,
    budget: BudgetLedger | None = None,
    clock: Clock | None = None,
) -> T:
    """Warmed up before, since the first import of litellm takes longer than a test's deadline."""
    door = open_door(config, budget=budget or MemoryBudget(), clock=clock or FixedClock())
    await door.warm_up()
    try:
        return await use(door)
    finally:
        await door.aclose()
