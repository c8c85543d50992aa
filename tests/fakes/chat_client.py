"""A ChatClient that says or fails as told, without litellm and without a network."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from core.money import Micros
from llm.door import Tokens
from llm.litellm_client import CallFailed, Completion
from llm.settings import ModelConfig

Step = str | CallFailed | Callable[[], Completion]
HANGS = CallFailed("llm_late")  # as a step: never answers


@dataclass(kw_only=True)
class ScriptedClient:
    """`script` by model name; the last step repeats. A call is estimated at 100, costs 30."""

    script: dict[str, list[Step]]
    estimated: dict[str, Micros | CallFailed] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def warm_up(self) -> None: ...

    async def estimate(self, model: ModelConfig, prompt_bytes: int) -> Micros:
        price = self.estimated.get(model.name, Micros(100))
        if isinstance(price, CallFailed):
            raise price
        return price

    async def complete(self, model: ModelConfig, *, system: str, user: str) -> Completion:
        self.asked.append(model.name)
        steps = self.script[model.name]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if step is HANGS:
            await asyncio.Event().wait()
        if isinstance(step, CallFailed):
            raise step
        if callable(step):
            return step()
        return Completion(
            text=step,
            model=f"{model.name}-real",
            tokens=Tokens(prompt=10, completion=5),
            price=Micros(30),
        )
