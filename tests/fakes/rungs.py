"""A rung that says what it was told to, as late or as broken as a test wants it."""

import asyncio
from collections.abc import Callable

from core.contracts import Request, Verdict
from router.reading import Known


class ScriptedRung:
    version = "scripted"

    def __init__(
        self,
        name: str,
        verdict: Verdict | Exception,
        *,
        takes_s: float = 0.0,
        learns: Callable[[Known], None] = lambda known: None,
    ) -> None:
        self.name = name
        self.asked = 0
        self._verdict = verdict
        self._takes_s = takes_s
        self._learns = learns

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        self.asked += 1
        if self._takes_s:
            await asyncio.sleep(self._takes_s)
        if isinstance(self._verdict, Exception):
            raise self._verdict
        self._learns(known)
        return self._verdict
