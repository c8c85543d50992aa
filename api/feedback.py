"""Takes what turned out to be true about a decision, however late, and values of its KPI."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Response, status

from api.auth import Witness, guarded_router
from api.context import Context, Shared
from api.decisions import refuse_unspeakable, stored
from api.errors import invalid_request
from api.idempotency import IdempotencyKey, abandoned_on_failure, claimed, mark_replayed
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.feedback import FeedbackBody, FeedbackReceipt
from core.contracts import ANSWER, PERSON, Decision, Feedback
from core.errors import InvalidRequest
from core.store import Replay
from core.store.feedback import unknown_decision

router = guarded_router("/v1/decisions", subject="feedback")
CLOCKS_APART = timedelta(seconds=60)  # machines without a synchronised clock drift that far


@router.post(
    "/{name}/feedback", status_code=status.HTTP_201_CREATED, openapi_extra=takes(FeedbackBody)
)
async def tell(
    name: str,
    caller: Witness,
    context: Shared,
    read: Annotated[Read[FeedbackBody], Depends(read_json(FeedbackBody))],
    response: Response,
    key: IdempotencyKey = None,
) -> FeedbackReceipt:
    """Nothing told is overwritten: the trace shows all of it in order."""
    refuse_unspeakable(name)
    body = read.body
    receipt = FeedbackReceipt(decision_id=body.decision_id)
    route = f"feedback {name}"
    claim = await claimed(context, caller.tenant_id, key, route=route, digest=read.digest)
    if isinstance(claim, Replay):
        mark_replayed(response)
        return receipt
    async with abandoned_on_failure(context, claim):
        found = await stored(context, caller.tenant_id, body.decision_id)
        if found.decision.name != name:
            raise unknown_decision(body.decision_id)
        await refuse_truth(context, found.decision, body.truth, body.document)
        _refuse_rest(body, context)
        await context.run(
            context.service.store.record_feedback,
            caller.tenant_id,
            Feedback(**body.model_dump()),
            idempotency=claim,
        )
    return receipt


async def refuse_truth(
    context: Context, decision: Decision, truth: str | None, document: str | None
) -> None:
    """Raises InvalidRequest where neither the live release nor the one that decided knows such a
    truth, or it has no document."""
    tenant_id, name = decision.tenant_id, decision.name
    live = (*(await context.service.spec(tenant_id, name)).outcomes, ANSWER, PERSON)
    if truth is not None and truth not in live:
        then = (await context.service.spec(tenant_id, name, decision.release)).outcomes
        if truth not in then:
            raise InvalidRequest(
                "RUNG-FEEDBACK-TRUTH",
                "truth is none of the decision's",
                way_out=f"Send one of: {', '.join(dict.fromkeys((*live, *then)))}.",
            )
    if document is not None and truth != ANSWER:
        raise invalid_request("document", f"only the truth '{ANSWER}' has a document")


def _refuse_rest(body: FeedbackBody, context: Shared) -> None:
    if body.truth is None and body.kpi is None:
        raise invalid_request("truth", "feedback tells a truth, a kpi or both")
    if body.happened_at > context.clock.now() + CLOCKS_APART:
        raise InvalidRequest(
            "RUNG-FEEDBACK-FUTURE",
            "happened_at lies in the future",
            way_out="Send when it happened, with its time zone; late is fine.",
        )
