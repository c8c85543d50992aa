"""Answers from scores that a batch has made, and decides online what they do not answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends

from api.auth import Decider, Reader, guarded_router
from api.context import Context, Shared
from api.decisions import refuse_unspeakable
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.common import ErrorDetail
from api.schemas.scores import ScoreAskBody, ScoreBody, ScoresBody, ScoresTold
from core.contracts import PERSON, Decision
from core.errors import InvalidFacts, InvalidRequest, NotFound, RungError
from core.spec import DecisionSpec, Scores
from core.store.scores import Score
from router.policy import expected_cost

router = guarded_router("/v1/decisions", subject="scores")
Known = Score | InvalidRequest | None  # what there is of a key, or why there cannot be anything


@router.post("/{name}/scores", openapi_extra=takes(ScoresBody))
async def scores(
    name: str,
    caller: Decider,
    context: Shared,
    read: Annotated[Read[ScoresBody], Depends(read_json(ScoresBody))],
) -> ScoresTold:
    """Each request's score, ranked. What is decided online is a decision like any other."""
    asking = await _asking(context, caller.tenant_id, name)
    known = await asking.known([asking.key_of(one.key) for one in read.body.requests])
    told = [
        await asking.answer(one, of_key)
        for one, of_key in zip(read.body.requests, known, strict=True)
    ]
    return ScoresTold(
        release=asking.release,
        order_by=read.body.order_by,
        scores=_ranked(told, read.body.order_by),
    )


@router.get("/{name}/scores/{key:path}")
async def score(name: str, key: str, caller: Reader, context: Shared) -> ScoreBody:
    """The score as it is kept, fresh or stale."""
    asking = await _asking(context, caller.tenant_id, name)
    (known,) = await asking.known([asking.key_of(key)])
    stored = _stored(known)
    if stored is None:
        raise _absent()
    return asking.told(key, stored, "cache" if asking.is_fresh(stored) else "stale")


async def _asking(context: Context, tenant_id: str, name: str) -> "_Asking":
    refuse_unspeakable(name)
    spec = await context.service.spec(tenant_id, name)
    if spec.scores is None:
        raise NotFound(
            "RUNG-SCORES-UNDECLARED",
            f"the decision '{name}' keeps no scores",
            way_out="Write scores: {key: FIELD} into its decision.yaml and train it.",
        )
    release = await context.run(context.service.store.live_release, tenant_id, name)
    return _Asking(
        context=context,
        tenant_id=tenant_id,
        spec=spec,
        scores=spec.scores,
        release=release,
        now=context.clock.now(),
    )


@dataclass(frozen=True, kw_only=True)
class _Asking:
    context: Context
    tenant_id: str
    spec: DecisionSpec
    scores: Scores
    release: str | None
    now: datetime

    def key_of(self, key: str | int) -> str:
        return str(key)

    async def known(self, keys: Sequence[str]) -> list[Known]:
        """The scores of these keys, in their order."""
        named = await self.context.run(self._named, keys)
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

    def is_fresh(self, stored: Score) -> bool:
        return stored.is_fresh(self.release, self.now)

    async def answer(self, asked: ScoreAskBody, known: Known) -> ScoreBody:
        """Never raises what concerns this request alone: the others are answered all the same."""
        try:
            return await self._answer(asked, _stored(known))
        except RungError as error:
            return ScoreBody(
                key=asked.key,
                source="refused",
                error=ErrorDetail(
                    code=error.code, message=error.message, way_out=error.way_out, line=None
                ),
            )

    async def _answer(self, asked: ScoreAskBody, stored: Score | None) -> ScoreBody:
        facts = self._facts(asked)
        if stored is not None and self.is_fresh(stored):
            if facts is None:
                return self.told(asked.key, stored, "cache")
            # Of a row that a rule decided, a digest of what the model read says nothing.
            read = await self.context.service.model_reads(self.tenant_id, self.spec.name, facts)
            if read is not None and read == stored.features_digest:
                return self.told(asked.key, stored, "cache")
            return await self._online(asked.key, facts, "the facts are not those that were scored")
        if self.scores.when_stale == "stale" and stored is not None:
            return self.told(asked.key, stored, "stale")
        if self.scores.when_stale == "refuse" or facts is None:
            raise _absent() if stored is None else self._stale(stored)
        why = "there is no score" if stored is None else f"the score is stale: {self._why(stored)}"
        return await self._online(asked.key, facts, why)

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

    async def _online(self, key: str | int, facts: object, why: str) -> ScoreBody:
        decision = await self.context.service.decide(self.tenant_id, self.spec.name, facts)
        self.context.metrics.decided(decision)
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

    def told(self, key: str | int, stored: Score, source: Literal["cache", "stale"]) -> ScoreBody:
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


def _ranked(
    told: Sequence[ScoreBody], order_by: Literal["expected_cost", "probability"]
) -> tuple[ScoreBody, ...]:
    """The best first, those without a figure after, refused ones last and without a rank."""

    def place(one: ScoreBody) -> tuple[bool, bool, float]:
        by_cost = order_by == "expected_cost"
        figure = one.expected_cost if by_cost else one.probability
        known = 0.0 if figure is None else figure
        return one.error is not None, figure is None, known if by_cost else -known

    ordered = sorted(told, key=place)  # stable: as they were sent where they tie
    return tuple(
        one if one.error else one.model_copy(update={"rank": rank})
        for rank, one in enumerate(ordered, start=1)
    )
