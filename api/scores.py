"""Answers from scores that a batch has made, and decides online what they do not answer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import BaseModel, JsonValue

from api.asking import asking_of
from api.auth import Decider, Reader, guarded_router
from api.context import Shared
from api.idempotency import IdempotencyKey, abandoned, abandoned_on_failure, claimed, mark_replayed
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.common import ErrorDetail
from api.schemas.scores import ScoreAskBody, ScoreBody, ScoresBody, ScoresTold
from core.contracts import Json
from core.errors import RungError
from core.store import Replay

router = guarded_router("/v1/decisions", subject="scores")


class _Kept(BaseModel):
    """An answer as a repeated request finds it: in the order of the request and without its keys,
    which may name a person and are in the request anyway."""

    release: str | None
    scores: tuple[dict[str, JsonValue], ...]


@router.post("/{name}/scores", openapi_extra=takes(ScoresBody))
async def scores(
    name: str,
    caller: Decider,
    context: Shared,
    read: Annotated[Read[ScoresBody], Depends(read_json(ScoresBody))],
    response: Response,
    key: IdempotencyKey = None,
) -> ScoresTold:
    """Each request's score, ranked. What is decided online is a decision like any other.

    Repeated with its Idempotency-Key, nothing is decided twice; an answer with a row that may yet
    succeed is not replayed: what is missing is decided then.
    """
    tenant_id, asked = caller.tenant_id, read.body.requests
    claim = await claimed(context, tenant_id, key, route=f"scores {name}", digest=read.digest)
    if isinstance(claim, Replay):
        mark_replayed(response)
        before = _Kept.model_validate(claim.response)
        told = [
            ScoreBody.model_validate({**row, "key": one.key})
            for one, row in zip(asked, before.scores, strict=True)
        ]
        return _ranked(before.release, told, read.body.order_by)
    async with abandoned_on_failure(context, claim):
        asking = await asking_of(context, tenant_id, name, key)
    async with abandoned_on_failure(context, claim, begun=True):
        answers = await asking.answers(asked)
        told = [
            _refused(one, answer) if isinstance(answer, RungError) else answer
            for one, answer in zip(asked, answers, strict=True)
        ]
        if claim is not None:
            if any(isinstance(answer, RungError) and answer.retryable for answer in answers):
                await abandoned(context, claim, begun=True)
            else:
                kept = _kept(asking.release, told)
                await context.run(context.service.store.complete_claim, claim, kept)
    return _ranked(asking.release, told, read.body.order_by)


@router.get("/{name}/scores/{key:path}")
async def score(name: str, key: str, caller: Reader, context: Shared) -> ScoreBody:
    """The score as it is kept, fresh or stale."""
    return await (await asking_of(context, caller.tenant_id, name)).one(key)


def _kept(release: str | None, told: Sequence[ScoreBody]) -> Json:
    rows = (one.model_dump(mode="json", exclude={"key"}, exclude_defaults=True) for one in told)
    return _Kept(release=release, scores=tuple(rows)).model_dump(mode="json")


def _refused(asked: ScoreAskBody, error: RungError) -> ScoreBody:
    detail = ErrorDetail(code=error.code, message=error.message, way_out=error.way_out, line=None)
    return ScoreBody(key=asked.key, source="refused", error=detail)


def _ranked(
    release: str | None,
    told: Sequence[ScoreBody],
    order_by: Literal["expected_cost", "probability"],
) -> ScoresTold:
    """The best first, those without a figure after, refused ones last and without a rank."""

    def place(one: ScoreBody) -> tuple[bool, bool, float]:
        by_cost = order_by == "expected_cost"
        figure = one.expected_cost if by_cost else one.probability
        known = 0.0 if figure is None else figure
        return one.error is not None, figure is None, known if by_cost else -known

    ordered = sorted(told, key=place)  # stable: as they were sent where they tie
    ranked = tuple(
        one if one.error else one.model_copy(update={"rank": rank})
        for rank, one in enumerate(ordered, start=1)
    )
    return ScoresTold(release=release, order_by=order_by, scores=ranked)
