"""Asks one rung after the other until the policy stops, under one deadline, and keeps the trace."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from core.clock import Clock
from core.contracts import PERSON, Decision, Request, Step, Verdict
from core.errors import RungError
from router.policy import CostPolicy
from router.reading import Known

LOG = logging.getLogger("rung.ladder")
MARGIN_S = 0.05  # a rung ends itself before the ladder cuts it off, so that what it paid is told


class Rung(Protocol):
    name: str
    version: str

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        """A verdict within `deadline_s` seconds; it may add to `known` what later rungs need."""
        ...


@dataclass(frozen=True, kw_only=True)
class EveryVerdict:
    """Of each rung in the order asked; `foreseen` is all that a rung could have said, by its name,
    where that was known before it was asked."""

    verdicts: tuple[Verdict, ...]
    foreseen: Mapping[str, Sequence[Verdict]]
    known: Known


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """`rungs` without the person, who always stands last; `handlers` names each one's ladder.

    `prospects`: what a rung could say, where that is known before it is asked.
    """

    name: str
    release: str
    read: Callable[[Request], Known]
    rungs: Mapping[str, Rung]
    order: Sequence[str]
    handlers: Mapping[str, Sequence[str]]
    policy: CostPolicy
    deadline_ms: float
    clock: Clock
    prospects: Mapping[str, Callable[[Known], Sequence[Verdict]]] = field(default_factory=dict)

    async def decide(self, request: Request) -> Decision:
        started = time.perf_counter()
        known = self.read(request)
        steps: list[Step] = []
        asked: str | None = self._following(None, known)
        while asked is not None:
            left_s = self.deadline_ms / 1000 - (time.perf_counter() - started)
            verdict = await self.ask(asked, request, known, left_s)
            following = self._following(asked, known)
            steps.append(self._step(steps, verdict, following, known, self._left_ms(started)))
            asked = following if steps[-1].action == "next" else None
        return self._decision(request, known, steps, (time.perf_counter() - started) * 1000)

    async def ask_every(self, request: Request) -> EveryVerdict:
        """Every rung's verdict, none stopping: what lab fits the policy on. Has no deadline."""
        known = self.read(request)
        verdicts, foreseen = [], {}
        asked = self._following(None, known)
        while asked is not None and asked != PERSON:
            prospects = self._foreseen(asked, known)
            if prospects is not None:
                foreseen[asked] = prospects
            verdicts.append(await self.ask(asked, request, known, 3600.0))
            asked = self._following(asked, known)
        return EveryVerdict(verdicts=tuple(verdicts), foreseen=foreseen, known=known)

    async def ask(self, name: str, request: Request, known: Known, left_s: float) -> Verdict:
        """The rung's verdict; being late or broken is an abstention, never a lost request."""
        if name == PERSON:
            return Verdict(
                outcomes=(), reasons=("no rung answers",), version="", rung=PERSON, escalate=True
            )
        rung = self.rungs[name]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(max(left_s, 0)):
                verdict = await rung.judge(request, known, max(left_s - MARGIN_S, 0))
        except TimeoutError:
            verdict = _abstention(rung, "the deadline of the request passed")
        except RungError as error:
            verdict = _abstention(rung, f"{error.code}: {error.message}")
        except Exception as error:  # a broken rung degrades the answer, it does not lose a request
            LOG.error("rung %s failed on %s: %s", name, request.id, type(error).__name__)
            verdict = _abstention(rung, f"the rung failed ({type(error).__name__})")
        return replace(verdict, milliseconds=(time.perf_counter() - started) * 1000)

    def _following(self, asked: str | None, known: Known) -> str | None:
        """The rung after `asked`; a handler, once known, brings its own ladder.

        Without a handler there is no corpus to retrieve from: a language model may still classify.
        """
        allowed: Sequence[str] = [name for name in self.order if name != "retrieval"]
        if known.handler is not None:
            allowed = self.handlers[known.handler]
        order = [n for n in self.order if n in ("rules", "classical") or n in allowed]
        if asked == PERSON:
            return None
        places = [name for name in order if name in self.rungs or name == PERSON]
        return places[0] if asked is None else places[places.index(asked) + 1]

    def _foreseen(self, rung: str, known: Known) -> Sequence[Verdict] | None:
        could_say = self.prospects.get(rung)
        return could_say(known) if could_say else None

    def _left_ms(self, started: float) -> float:
        return self.deadline_ms - (time.perf_counter() - started) * 1000

    def _step(
        self,
        before: Sequence[Step],
        verdict: Verdict,
        following: str | None,
        known: Known,
        left_ms: float,
    ) -> Step:
        if following is None:
            return Step(verdict=verdict, action="person", cost_now=None, cost_next=None, why="")
        choice = self.policy.choose(
            [*(step.verdict for step in before), verdict],
            following,
            in_time=left_ms > self._takes_ms(following),
            prospects=self._foreseen(following, known),
        )
        return Step(
            verdict=verdict,
            action=choice.action,
            cost_now=choice.cost_now,
            cost_next=choice.cost_next,
            why=choice.why,
        )

    def _takes_ms(self, rung: str) -> float:
        """A language model that answers in 2 s is not begun 1 s before the deadline."""
        declared = self.policy.costs.rungs.get(rung)
        return declared.milliseconds if declared else 0.0

    def _decision(
        self, request: Request, known: Known, steps: Sequence[Step], milliseconds: float
    ) -> Decision:
        given: Verdict | None = None
        if steps[-1].action in ("answer", "earlier"):
            verdicts = [step.verdict for step in steps]
            given = verdicts[self.policy.standing(verdicts) or 0]
        probability = None
        if given and given.belief:
            probability = sum(given.belief.get(outcome, 0.0) for outcome in given.outcomes)
        return Decision(
            id=str(uuid4()),
            request_id=request.id,
            tenant_id=request.tenant_id,
            name=self.name,
            outcomes=given.outcomes if given else (),
            rung=given.rung if given else PERSON,
            probability=probability,
            answer=given.answer if given else None,
            steps=tuple(steps),
            llm=_why_llm(steps),
            release=self.release,
            features_digest=known.features_digest,
            language=known.language,
            price=sum(step.verdict.price for step in steps),
            milliseconds=milliseconds,
            decided_at=self.clock.now(),
        )


def _abstention(rung: Rung, why: str) -> Verdict:
    return Verdict(outcomes=(), reasons=(why,), version=rung.version, rung=rung.name)


def _why_llm(steps: Sequence[Step]) -> str:
    """In words for the trace: was a language model needed, and why or why not."""
    last = steps[-1]
    if any(step.verdict.rung == "llm" for step in steps):
        before = steps[[step.verdict.rung for step in steps].index("llm") - 1]
        return f"asked, because {before.verdict.rung} did not suffice: {before.why}"
    if last.action in ("answer", "earlier"):
        return f"not needed: {last.verdict.rung} answered"
    return f"not asked: {last.why or 'a person was the better way'}"
