"""The language door with models behind it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.contracts import Answer, Json, Passage
from llm.answer import answer_task
from llm.classify import classify_task
from llm.door import LanguageResult, T
from llm.extract import extract_task
from llm.failover import Failover
from llm.prompting import Prompts
from llm.task import Task, Turned


class ModelDoor:
    """Implements LanguageDoor."""

    def __init__(self, failover: Failover, prompts: Prompts, *, max_prompt_bytes: int) -> None:
        self._failover = failover
        self._prompts = prompts
        self._max_bytes = max_prompt_bytes

    async def warm_up(self) -> None:
        await self._failover.warm_up()

    async def aclose(self) -> None:
        await self._failover.aclose()

    async def answer(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[Answer]:
        if not passages:
            return LanguageResult(value=None, reason="llm_no_passages", prompt="answer")

        def task() -> Task[Answer]:
            return answer_task(
                question, passages, instructions=self._prompts.answer, max_bytes=self._max_bytes
            )

        return await self._ask("answer", task, tenant_id, decision, deadline_s)

    async def extract(
        self,
        text: str,
        schema: Mapping[str, Any],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[dict[str, Json]]:
        def task() -> Task[dict[str, Json]]:
            return extract_task(
                text, schema, instructions=self._prompts.extract, max_bytes=self._max_bytes
            )

        return await self._ask("extract", task, tenant_id, decision, deadline_s)

    async def classify(
        self,
        text: str,
        outcomes: Mapping[str, str],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[str]:
        def task() -> Task[str]:
            return classify_task(
                text, outcomes, instructions=self._prompts.classify, max_bytes=self._max_bytes
            )

        return await self._ask("classify", task, tenant_id, decision, deadline_s)

    async def _ask(
        self,
        name: str,
        task: Callable[[], Task[T]],
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[T]:
        try:
            built = task()
        except Turned as turned:
            return LanguageResult(value=None, reason=turned.reason, prompt=name)
        return await self._failover.ask(
            built, tenant_id=tenant_id, decision=decision, deadline_s=deadline_s
        )
