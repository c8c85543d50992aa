"""The rungs as the ladder asks them: each puts what its room predicts into one belief.

The classical rung's belief is P(y) = r·1[y = risky] + (1 - r)·P(y | text), r from the structured
facts and the rest from the text, so the two are taken as independent given that a request is not
risky. Retrieval and the language model split the probability of `answer` by how probably *this*
text is the right one; all other truths keep theirs.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from core.contracts import (
    ANSWER,
    PERSON,
    WRONG_ANSWER,
    Answer,
    Json,
    Passage,
    Request,
    Verdict,
)
from core.errors import Overloaded
from core.money import to_amount
from core.spec import DecisionSpec
from llm.door import LanguageDoor, LanguageResult
from router.intent import IntentModel, IntentPrediction
from router.policy import cheapest_outcome
from router.reading import Known
from router.risk import RiskModel
from router.support import SupportModel
from rules.ruleset import RulesEngine

T = TypeVar("T")
CANDIDATES = 5  # passages that a later rung or a person sees
TOLD_RISK = 0.1  # a smaller risk beside an intent is no reason for anything
LEAST_LETTERS = 3  # "PIN" may be a message; a smiley or "x" is none
QUEUE_SHARE = 0.25
SMOOTHING = 0.05  # the last twenty pieces of work or so


class Models:
    """A thread for what computes: the event loop stays free, and torch is never entered twice."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung-models")
        self._lock = threading.Lock()
        self._waiting = 0
        self._takes_s = 0.0  # of one piece of work, moving average

    async def run(self, work: Callable[[], T]) -> T:
        """Raises what `work` raises. Where the caller is cancelled, work that waits never runs."""
        queued = self._pool.submit(self._timed, work)
        with self._lock:
            self._waiting += 1
        queued.add_done_callback(self._done)  # of cancelled work too
        return await asyncio.wrap_future(queued)

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self._takes_s += SMOOTHING * (took - self._takes_s)

    def _done(self, work: Future[Any]) -> None:
        with self._lock:
            self._waiting -= 1

    def refuse_overload(self, deadline_s: float) -> None:
        """Raises Overloaded where the queue alone would take most of the time a request has.

        A request that is admitted and comes too late is a person's work; one that is shed is the
        caller's to send again. It waits here once or twice, and a language model may follow.
        """
        queue_s = self._waiting * self._takes_s
        if queue_s > QUEUE_SHARE * deadline_s:
            raise Overloaded(
                "RUNG-SERVER-OVERLOADED",
                "more requests are waiting than their deadline allows",
                way_out="Send it again after Retry-After, or add another process.",
                retry_after=max(1.0, queue_s),
            )


class RulesRung:
    name = "rules"

    def __init__(self, engine: RulesEngine) -> None:
        self._engine = engine
        self.version = engine.version

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        return self._engine.decide(request.facts)


class ClassicalRung:
    """Intents of the text, where there is one, and the risk of the structured facts."""

    name = "classical"

    def __init__(
        self,
        *,
        spec: DecisionSpec,
        intents: IntentModel | None,
        risk: RiskModel | None,
        covered: frozenset[str],
        version: str,
        models: Models,
    ) -> None:
        self._spec = spec
        self._intents = intents
        self._risk = risk
        self._covered = covered
        self._models = models
        self.version = version

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        text = self._spec.request.text_of(request.facts)
        if self._intents and known.language not in self._covered:
            return self._abstains(f"the text is in {known.language}, which no model here covers")
        if self._intents and sum(letter.isalpha() for letter in text) < LEAST_LETTERS:
            return self._abstains("the text has too few letters to say anything")
        row = known.features
        # The thread may end after the deadline, when `known` has been read: it changes nothing.
        risk, prediction = await self._models.run(
            lambda: (
                float(self._risk.predict(row[None, :])[0]) if self._risk else 0.0,
                self._intents.predict([text]) if self._intents else None,
            )
        )
        reasons: list[str] = []
        details: dict[str, Json] = {}
        if prediction is None and self._risk and self._risk.is_open(risk):
            return self._abstains(f"{self._name_of_risk()} {risk:.2f} settles neither outcome")
        if prediction is None:
            known.belief = self._by_fields(risk)
        else:
            reasons, details = self._read(known, prediction, risk)
        if self._risk and (risk >= TOLD_RISK or prediction is None):
            why = ", ".join(reason.feature for reason in self._risk.reasons(row))
            most = f", most by: {why}" if why else ""
            reasons.append(f"{self._name_of_risk()} {risk:.2f}{most}")
        best = cheapest_outcome(self._spec.costs, sorted(self._spec.outcomes), known.belief)
        return Verdict(
            outcomes=(best,),
            reasons=tuple(reasons),
            version=self.version,
            rung=self.name,
            belief=known.belief,
            details=details | {"risk": round(risk, 6) if self._risk else None},
        )

    def _abstains(self, why: str) -> Verdict:
        return Verdict(outcomes=(), reasons=(why,), version=self.version, rung=self.name)

    def _name_of_risk(self) -> str:
        """With intents it is a risk beside them; alone it is the probability of its outcome."""
        return "risk" if self._intents or not self._spec.risk else f"P({self._spec.risk.outcome})"

    def _by_fields(self, risk: float) -> dict[str, float]:
        declared = self._spec.risk
        assert declared is not None and declared.otherwise is not None  # the spec holds it so
        return dict(sorted({declared.outcome: risk, declared.otherwise: 1 - risk}.items()))

    def _read(
        self, known: Known, prediction: IntentPrediction, risk: float
    ) -> tuple[list[str], dict[str, Json]]:
        """Puts belief and handler into `known`; reasons and details of the text's intent."""
        outside = float(prediction.out_of_scope[0])
        intents = self._intents.intents if self._intents else ()
        by_intent = {
            intent: (1 - risk) * (1 - outside) * float(p)
            for intent, p in zip(intents, prediction.probabilities[0], strict=True)
        }
        known.belief = self._belief(by_intent, risk, (1 - risk) * outside)
        top = max(sorted(by_intent), key=lambda intent: by_intent[intent])
        known.handler = self._handler(top, known.belief)
        reasons = [f"intent {top} with probability {by_intent[top]:.2f}"]
        if outside >= 0.5:
            reasons.append(f"out of scope with probability {outside:.2f}")
        details: dict[str, Json] = {
            "intent": top,
            "intent_probability": round(by_intent[top], 6),
            "out_of_scope": round(outside, 6),
            "embedded": bool(prediction.embedded[0]),
        }
        return reasons, details

    def _belief(
        self, by_intent: Mapping[str, float], risk: float, outside: float
    ) -> dict[str, float]:
        belief: dict[str, float] = defaultdict(float)
        for intent, probability in by_intent.items():
            belief[self._spec.truth_of_intent(intent)] += probability
        if self._spec.risk:
            belief[self._spec.risk.outcome] += risk
        belief[PERSON] += outside
        return dict(sorted(belief.items()))

    def _handler(self, top: str, belief: Mapping[str, float]) -> str | None:
        """The top intent's handler, where no action is more probable than an answer."""
        handler = self._spec.intents[top].handler
        truth = max(sorted(belief), key=lambda name: belief[name])
        return handler if handler and truth in (ANSWER, PERSON) else None


class RetrievalResult(Protocol):
    @property
    def passages(self) -> tuple[Passage, ...]: ...
    @property
    def quality(self) -> float: ...
    @property
    def quality_any(self) -> float: ...


class Retrieves(Protocol):
    @property
    def version(self) -> str:
        """Of what is searched."""
        ...

    def retrieve(self, text: str, k: int) -> RetrievalResult: ...


class RetrievalRung:
    """Answers with the best passage of the handler's corpus."""

    name = "retrieval"

    def __init__(
        self,
        *,
        spec: DecisionSpec,
        retrievers: Mapping[str, Retrieves],
        version: str,
        models: Models,
    ) -> None:
        self._request = spec.request
        self._corpora = {name: handler.corpus for name, handler in spec.handlers.items()}
        self._retrievers = retrievers
        self._models = models
        self.version = version

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        corpus = self._corpora.get(known.handler or "")
        if corpus is None:
            return self._abstains("no corpus answers this kind of request")
        text = self._request.text_of(request.facts)
        retriever = self._retrievers[corpus]
        result = await self._models.run(lambda: retriever.retrieve(text, CANDIDATES))
        known.evidence = result.passages
        known.quality_any = result.quality_any
        if not result.passages:
            return self._abstains(
                "nothing in the corpus matches", corpus=corpus, index=retriever.version
            )
        best = result.passages[0]
        return Verdict(
            outcomes=(ANSWER,),
            reasons=(f"'{best.title}' answers with probability {result.quality:.2f}",),
            version=self.version,
            rung=self.name,
            belief=split_answer(known.belief, result.quality),
            answer=Answer(text=best.text, citations=(best.document,), made_by="article"),
            evidence=result.passages,
            details={
                "quality": round(result.quality, 6),
                "corpus": corpus,
                "index": retriever.version,
            },
        )

    def _abstains(self, why: str, **details: Json) -> Verdict:
        return Verdict(
            outcomes=(), reasons=(why,), version=self.version, rung=self.name, details=details
        )


@dataclass(frozen=True, kw_only=True)
class LanguageVerdicts:
    """What the words of a language model are worth, beside what is known of the request."""

    outcomes: tuple[str, ...]
    support: SupportModel
    version: str

    def prospects(self, known: Known) -> tuple[Verdict, ...]:
        """All that it could say but an abstention; of answers the least and the most believed, as
        beside what is known only the number of their citations counts."""
        if not known.evidence:
            return tuple(self.choosing(outcome, known) for outcome in self.outcomes)
        documents = tuple(dict.fromkeys(passage.document for passage in known.evidence))
        return tuple(
            self.answering(Answer(text="", citations=cited, made_by="llm"), known)
            for cited in (documents[:1], documents)
        )

    def answering(self, answer: Answer, known: Known) -> Verdict:
        right = self.support.probability(known.quality_any or 0.0, answer)
        return Verdict(
            outcomes=(ANSWER,),
            reasons=(f"answered from {', '.join(answer.citations)}, right with {right:.2f}",),
            version=self.version,
            rung=LanguageRung.name,
            belief=split_answer(known.belief, right),
            answer=answer,
        )

    def choosing(self, outcome: str, known: Known) -> Verdict:
        right = self.support.of_classification
        return Verdict(
            outcomes=(outcome,),
            reasons=(f"the language model chose {outcome}, right with {right:.2f}",),
            version=self.version,
            rung=LanguageRung.name,
            belief=_mixed(known.belief, outcome, right),
        )


class LanguageRung:
    """Answers from the retrieved passages, or chooses among the admitted outcomes."""

    name = "llm"

    def __init__(
        self, *, spec: DecisionSpec, door: LanguageDoor, support: SupportModel, version: str
    ) -> None:
        self._spec = spec
        self._door = door
        self._says = LanguageVerdicts(
            outcomes=tuple(spec.outcomes), support=support, version=version
        )
        self.version = version

    def prospects(self, known: Known) -> tuple[Verdict, ...]:
        return self._says.prospects(known)

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        text = self._spec.request.text_of(request.facts)
        if known.evidence:
            made = await self._door.answer(
                text,
                known.evidence,
                tenant_id=request.tenant_id,
                decision=request.decision,
                deadline_s=deadline_s,
            )
            said = self._says.answering(made.value, known) if made.value else None
            return self._told(said, made, known)
        chosen = await self._door.classify(
            text,
            self._spec.outcomes,
            tenant_id=request.tenant_id,
            decision=request.decision,
            deadline_s=deadline_s,
        )
        said = self._says.choosing(chosen.value, known) if chosen.value else None
        return self._told(said, chosen, known)

    def _told(self, said: Verdict | None, result: LanguageResult[Any], known: Known) -> Verdict:
        """What it said, or that it abstained, with what that cost and what the model was given."""
        abstained = Verdict(
            outcomes=(),
            reasons=(f"the language model abstained: {result.reason}",),
            version=self.version,
            rung=self.name,
        )
        return replace(
            said or abstained,
            price=float(to_amount(result.price)),
            evidence=known.evidence,
            details=_of_call(result),
        )


def split_answer(belief: Mapping[str, float], right: float) -> dict[str, float]:
    """The belief once a text is at hand that is right with `right`, if a text is wanted."""
    split = dict(belief)
    wanted = split.pop(ANSWER, 0.0)
    split[ANSWER] = wanted * right
    split[WRONG_ANSWER] = wanted * (1 - right)
    return dict(sorted(split.items()))


def _mixed(belief: Mapping[str, float], outcome: str, right: float) -> dict[str, float]:
    """`outcome` has probability `right`; the other truths share the rest as before."""
    rest = {truth: p for truth, p in belief.items() if truth != outcome}
    total = sum(rest.values()) or 1.0
    mixed = {truth: (1 - right) * p / total for truth, p in rest.items()}
    mixed[outcome] = right
    return dict(sorted(mixed.items()))


def _of_call(result: LanguageResult[Any]) -> dict[str, Json]:
    return {
        "model": result.model,
        "attempts": [
            f"{attempt.model}: {attempt.reason or 'taken'}" for attempt in result.attempts
        ],
        "prompt": result.prompt,
        "raw": result.raw,
    }
