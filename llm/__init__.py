"""The only door to a language model; knows neither routing nor rankers."""

from core.clock import Clock
from core.embedding import TextEmbedder
from core.money import BudgetLedger
from llm.door import Attempt, LanguageDoor, LanguageResult, Reason, Tokens
from llm.extractive import ExtractiveDoor
from llm.failover import Failover
from llm.litellm_client import LiteLLMClient
from llm.model_door import ModelDoor
from llm.prompting import Prompts
from llm.settings import LanguageConfig, ModelConfig

__all__ = [
    "Attempt",
    "ExtractiveDoor",
    "LanguageConfig",
    "LanguageDoor",
    "LanguageResult",
    "ModelConfig",
    "Prompts",
    "Reason",
    "Tokens",
    "open_door",
]


def open_door(
    config: LanguageConfig,
    *,
    budget: BudgetLedger,
    clock: Clock,
    prompts: Prompts | None = None,
    embedder: TextEmbedder | None = None,
) -> LanguageDoor:
    """Without a configured model the extractive door, which needs no key and costs nothing."""
    if not config.models:
        return ExtractiveDoor(embedder=embedder)
    failover = Failover(client=LiteLLMClient(config), config=config, budget=budget, clock=clock)
    return ModelDoor(failover, prompts or Prompts.load(), max_prompt_bytes=config.max_prompt_bytes)
