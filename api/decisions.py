"""Decides one request, and gives back any decision with its whole trace."""

import re
from typing import Annotated

from fastapi import Depends, Response

from api.auth import Decider, Reader, guarded_router
from api.context import Context, Shared
from api.idempotency import IdempotencyKey, abandoned_on_failure, claimed, mark_replayed
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.decisions import DecideBody, DecisionBody, NamesBody, ToldBody, TraceBody
from core.errors import NotFound
from core.store import Replay, StoredDecision
from core.store.feedback import unknown_decision

router = guarded_router("/v1/decisions", subject="decisions")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")  # as decision.yaml admits it


@router.get("")
async def names(caller: Reader, context: Shared) -> NamesBody:
    """The decisions that this tenant may ask for."""
    found = await context.run(context.service.names, caller.tenant_id)
    return NamesBody(decisions=tuple(found))


@router.post("/{name}", openapi_extra=takes(DecideBody))
async def decide(
    name: str,
    caller: Decider,
    context: Shared,
    read: Annotated[Read[DecideBody], Depends(read_json(DecideBody))],
    response: Response,
    key: IdempotencyKey = None,
) -> DecisionBody:
    """Answers on the lowest rung that can be trusted with these facts."""
    refuse_unspeakable(name)
    route = f"decide {name}"
    claim = await claimed(context, caller.tenant_id, key, route=route, digest=read.digest)
    if isinstance(claim, Replay):
        mark_replayed(response)
        first = await stored(context, caller.tenant_id, str(claim.decision_id))
        return DecisionBody.model_validate(first.decision)
    async with abandoned_on_failure(context, claim):
        decision = await context.service.decide(
            caller.tenant_id, name, read.body.facts, idempotency=claim
        )
    context.metrics.decided(decision)
    return DecisionBody.model_validate(decision)


@router.get("/{id}")
async def trace(id: str, caller: Reader, context: Shared) -> TraceBody:
    """Every rung asked, with verdict, reasons, evidence, and what going on would have cost."""
    found = await stored(context, caller.tenant_id, id)
    told = tuple(ToldBody.model_validate(one) for one in found.feedback)
    return TraceBody.model_validate(found.decision).model_copy(update={"feedback": told})


def refuse_unspeakable(name: str) -> None:
    """No decision can have such a name; a store need not be asked for it."""
    if not NAME.fullmatch(name):
        raise NotFound(
            "RUNG-DECISION-UNKNOWN",
            "there is no such decision",
            way_out="GET /v1/decisions lists those there are.",
        )


async def stored(context: Context, tenant_id: str, decision_id: str) -> StoredDecision:
    """Raises NotFound, for another tenant's decision too."""
    found = await context.run(context.service.store.decision, tenant_id, decision_id)
    if found is None:
        raise unknown_decision(decision_id)
    return found
