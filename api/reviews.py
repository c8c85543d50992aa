"""The queue for people: what waits, claiming it, resolving it as feedback, and putting it off."""

from typing import Annotated, Literal

from fastapi import Depends, Query

from api.auth import Reviewer, guarded_router
from api.context import Shared
from api.decisions import stored
from api.feedback import refuse_truth
from api.idempotency import Changing
from api.json_body import Read, read_json
from api.openapi import takes
from api.schemas.common import Word
from api.schemas.reviews import (
    ClaimBody,
    EventBody,
    ResolveBody,
    ReviewBody,
    ReviewDetailBody,
    ReviewReceipt,
    ReviewsBody,
    SnoozeBody,
)
from core.identity.keys import Principal
from core.store import ReviewItem
from core.store.idempotency import Effects
from core.store.review_item import ReviewState

router = guarded_router("/v1/reviews", subject="reviews")


@router.get("")
async def waiting(
    caller: Reviewer,
    context: Shared,
    state: ReviewState | Literal["all"] = "open",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[Word | None, Query(description="The last id of the page before.")] = None,
) -> ReviewsBody:
    """The next to be due first."""
    found = await context.run(
        context.service.store.reviews,
        caller.tenant_id,
        state=None if state == "all" else state,
        limit=limit,
        after=after,
    )
    return ReviewsBody(reviews=tuple(ReviewBody.model_validate(item) for item in found))


@router.get("/{id}")
async def one(id: str, caller: Reviewer, context: Shared) -> ReviewDetailBody:
    """The item, and who did what with it."""
    store = context.service.store
    item = await context.run(store.review, caller.tenant_id, id)
    events = await context.run(store.review_events, caller.tenant_id, id)
    told = tuple(EventBody.model_validate(event) for event in events)
    return ReviewDetailBody(**dict(ReviewBody.model_validate(item)), events=told)


@router.post("/{id}/claim", openapi_extra=takes(ClaimBody))
async def claim(
    caller: Reviewer,
    change: Changing,
    read: Annotated[Read[ClaimBody], Depends(read_json(ClaimBody))],
) -> ReviewReceipt:
    """Holds the item for fifteen minutes; whoever holds it may claim it anew."""
    store, tenant_id, who = change.context.service.store, caller.tenant_id, _who(caller, read.body)

    async def make(effects: Effects[ReviewItem]) -> ReviewItem:
        call = store.claim_review
        return await change.context.run(call, tenant_id, change.id, who, effects=effects)

    return await change.once(tenant_id, "claim", read.digest, make, _told, ReviewReceipt)


@router.post("/{id}/resolve", openapi_extra=takes(ResolveBody))
async def resolve(
    caller: Reviewer,
    change: Changing,
    read: Annotated[Read[ResolveBody], Depends(read_json(ResolveBody))],
) -> ReviewReceipt:
    """What was true, told by a person; it is feedback on the decision."""
    context, tenant_id, body = change.context, caller.tenant_id, read.body

    async def make(effects: Effects[ReviewItem]) -> ReviewItem:
        item = await context.run(context.service.store.review, tenant_id, change.id)
        decided = await stored(context, tenant_id, item.decision_id)
        await refuse_truth(context, decided.decision, body.truth, body.document)
        return await context.run(
            context.service.store.resolve_review,
            tenant_id,
            change.id,
            _who(caller, body),
            body.truth,
            body.document,
            body.note,
            effects=effects,
        )

    return await change.once(tenant_id, "resolve", read.digest, make, _told, ReviewReceipt)


@router.post("/{id}/snooze", openapi_extra=takes(SnoozeBody))
async def snooze(
    caller: Reviewer,
    change: Changing,
    read: Annotated[Read[SnoozeBody], Depends(read_json(SnoozeBody))],
) -> ReviewReceipt:
    """Puts the item off; when it is due does not move."""
    store, tenant_id, body = change.context.service.store, caller.tenant_id, read.body

    async def make(effects: Effects[ReviewItem]) -> ReviewItem:
        call, who = store.snooze_review, _who(caller, body)
        return await change.context.run(
            call, tenant_id, change.id, who, body.until, body.note, effects=effects
        )

    return await change.once(tenant_id, "snooze", read.digest, make, _told, ReviewReceipt)


def _who(caller: Principal, body: ClaimBody) -> str:
    return body.who or f"key:{caller.key_id}"


def _told(item: ReviewItem) -> ReviewReceipt:
    return ReviewReceipt.model_validate(item)
