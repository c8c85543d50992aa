"""Asks for scores of one decision: those that are kept, and decides what they do not answer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import anyio

from api.context import Context
from api.decisions import refuse_unspeakable, stored
from api.idempotency import abandoned_on_failure, claimed
from api.schemas.scores import ScoreAskBody, ScoreBody
from core.contracts import PERSON, Decision
from core.errors import InvalidFacts, InvalidRequest, NotFound, Overloaded, RungError
from core.spec import DecisionSpec, Scores
from core.store import Replay
from core.store.scores import Score
from router.policy import expected_cost

Known = Score | InvalidRequest | None  # what there is of a key, or why there cannot be anything


async def asking_of(
    context: Context, tenant_id: str, name: str, key: str | None = None
) -> "Asking":
    """`key` is the request's Idempotency-Key. Raises NotFound."""
    refuse_unspeakable(name)
    spec = await context.service.spec(tenant_id, name)
    if spec.scores is None:
        raise NotFound(
            "RUNG-SCORES-UNDECLARED",
            f"the decision '{name}' keeps no scores",
            way_out="Write scores: {key: FIELD} into its decision.yaml and train it.",
        )
    release = await context.run(context.service.store.live_release, tenant_id, name)
    return Asking(
        context=context,
        tenant_id=tenant_id,
        spec=spec,
        scores=spec.scores,
        release=release,
        now=context.clock.now(),
        begun_until=anyio.current_time() + context.online_seconds,
        key=key,
    )


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What one request asks, `begun_until` by the event loop's clock."""

    context: Context
    tenant_id: str
    spec: DecisionSpec
    scores: Scores
    release: str | None
    now: datetime
    begun_until: float
    key: str | None

    async def answers(self, asked: Sequence[ScoreAskBody]) -> list[ScoreBody | RungError]:
        """In their order; an error is of that one alone. A few are decided at a time, and none is
        begun after `begun_until`: what is begun ends by the decision's own deadline."""
        known = await self.known([one.key for one in asked])
        found: dict[int, ScoreBody | RungError] = {}
        waiting = iter(range(len(asked)))

        async def work() -> None:
            for place in waiting:  # of all workers: each takes the next that nobody has
                try:
                    found[place] = await self._answer(place, asked[place], _stored(known[place]))
                except RungError as error:
                    found[place] = error

        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(self.context.online_at_once):
                    tasks.start_soon(work)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [found[place] for place in range(len(asked))]

    async def one(self, key: str) -> ScoreBody:
        """The score as it is kept. Raises NotFound."""
        (known,) = await self.known([key])
        stored = _stored(known)
        if stored is None:
            raise _absent()
        return self._told(key, stored, "cache" if self._is_fresh(stored) else "stale")

    async def known(self, keys: Sequence[str | int]) -> list[Known]:
        """The scores of these keys, in their order."""
        named = await self.context.run(self._named, [str(key) for key in keys])
        asked = [name for name in named if isinstance(name, str)]
        store = self.context.service.store
        found = await self.context.run(store.scores, self.tenant_id, self.spec.name, asked)
        return [found.get(name) if isinstance(name, str) else name for name in named]

    def _named(self, keys: Sequence[str]) -> list[str | InvalidRequest]:
        """As they are stored, or why one cannot be."""
        hidden = self.spec.request.fields[self.scores.key].type == "text"
        named: list[str | InvalidRequest] = []
        for key in keys:
            try:
                named += self.context.service.store.score_keys(self.tenant_id, [key], hidden=hidden)
            except InvalidRequest as error:
                named.append(error)
        return named

    def _is_fresh(self, stored: Score) -> bool:
        return stored.is_fresh(self.release, self.now)

    async def _answer(self, place: int, asked: ScoreAskBody, stored: Score | None) -> ScoreBody:
        facts = self._facts(asked)
        if stored is not None and self._is_fresh(stored):
            if facts is None:
                return self._told(asked.key, stored, "cache")
            self._refuse_late()
            # Of a row that a rule decided, a digest of what the model read says nothing.
            read = await self.context.service.model_reads(self.tenant_id, self.spec.name, facts)
            if read is not None and read == stored.features_digest:
                return self._told(asked.key, stored, "cache")
            why = "the facts are not those that were scored"
        elif self.scores.when_stale == "stale" and stored is not None:
            return self._told(asked.key, stored, "stale")
        elif self.scores.when_stale == "refuse" or facts is None:
            raise _absent() if stored is None else self._stale(stored)
        else:
            why = f"the score is stale: {self._why(stored)}" if stored else "there is no score"
        return self._decided(asked.key, await self._decide(place, asked, facts), why)

    def _facts(self, asked: ScoreAskBody) -> dict[str, Any] | None:
        """With the key, which need not be sent twice."""
        if asked.facts is None:
            return None
        sent = asked.facts
        if not isinstance(sent, Mapping):
            raise InvalidFacts(
                "RUNG-FACTS-TYPE",
                "the facts of a request are an object of names and values",
                way_out='Send for example {"amount": 12.5}, or leave facts out.',
            )
        if str(sent.get(self.scores.key, asked.key)) != str(asked.key):
            raise InvalidRequest(
                "RUNG-SCORE-KEY",
                f"the facts say another {self.scores.key} than the key",
                way_out="Send the facts of that key, or leave the field out of them.",
            )
        return {self.scores.key: asked.key, **sent}

    async def _decide(self, place: int, asked: ScoreAskBody, facts: object) -> Decision:
        """Recorded under a key of its own, so that the request sent again finds what it came to."""
        self._refuse_late()
        context, tenant_id, name = self.context, self.tenant_id, self.spec.name
        digest = _digest(asked.model_dump())
        # No caller's key holds a space.
        key = None if self.key is None else f"row {_digest([self.key, place, digest])}"
        claim = await claimed(context, tenant_id, key, route=f"score {name}", digest=digest)
        if isinstance(claim, Replay):
            return (await stored(context, tenant_id, str(claim.decision_id))).decision
        async with abandoned_on_failure(context, claim):
            decision = await context.service.decide(tenant_id, name, facts, idempotency=claim)
        context.metrics.decided(decision)
        return decision

    def _refuse_late(self) -> None:
        if anyio.current_time() > self.begun_until:
            raise Overloaded(
                "RUNG-SCORES-LATE",
                f"it was not begun within {self.context.online_seconds:g} s of the request",
                way_out="Send the request again with the same Idempotency-Key, or fewer at once.",
            )

    def _decided(self, key: str | int, decision: Decision, why: str) -> ScoreBody:
        probability = self._probability(decision)
        outcomes = decision.outcomes or (PERSON,)
        return ScoreBody(
            key=key,
            outcomes=outcomes,
            probability=probability,
            expected_cost=self._cost(outcomes, probability),
            release=decision.release,
            scored_at=decision.decided_at,
            age_seconds=max(0.0, (self.now - decision.decided_at).total_seconds()),
            source="online",
            why=why,
            decision_id=decision.id,
        )

    def _probability(self, decision: Decision) -> float | None:
        risk = self.spec.risk
        beliefs = [step.verdict.belief for step in decision.steps if step.verdict.belief]
        return beliefs[-1].get(risk.outcome) if beliefs and risk else None

    def _told(self, key: str | int, stored: Score, source: Literal["cache", "stale"]) -> ScoreBody:
        probability = stored.probability if stored.features_digest else None
        return ScoreBody(
            key=key,
            outcomes=stored.outcomes,
            probability=probability,
            expected_cost=self._cost(stored.outcomes, probability),
            release=stored.release,
            scored_at=stored.scored_at,
            age_seconds=max(0.0, (self.now - stored.scored_at).total_seconds()),
            source=source,
            why=f"the score is stale: {self._why(stored)}" if source == "stale" else "",
        )

    def _cost(self, outcomes: Sequence[str], probability: float | None) -> float:
        """As the policy counts it: what a rule says is certain."""
        costs, risk = self.spec.costs, self.spec.risk
        if PERSON in outcomes:
            return costs.of_person()
        if probability is None or risk is None or risk.otherwise is None:
            return 0.0
        belief = {risk.outcome: probability, risk.otherwise: 1 - probability}
        return max(expected_cost(costs, outcome, belief) for outcome in outcomes)

    def _why(self, stored: Score) -> str:
        if stored.release != self.release:
            return "another release is live"
        return f"it was kept until {stored.expires_at.isoformat(timespec='seconds')}"

    def _stale(self, stored: Score) -> NotFound:
        return NotFound(
            "RUNG-SCORE-STALE",
            f"the score is stale: {self._why(stored)}",
            way_out="Score its table again, or send facts and declare when_stale: online.",
        )


def _stored(known: Known) -> Score | None:
    if isinstance(known, InvalidRequest):
        raise known
    return known


def _absent() -> NotFound:
    return NotFound(
        "RUNG-SCORE-UNKNOWN",
        "there is no score of that key",
        way_out="Score a table that holds it, or send facts and declare when_stale: online.",
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
