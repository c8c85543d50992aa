"""The queue for people: what waits, claiming it, resolving it as feedback, and putting it off."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Query, Response

from api.auth import Reviewer, guarded_router
from api.context import Shared
from api.feedback import refuse_truth
from api.idempotency import Change, IdempotencyKey
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
from core.store import ReviewItem
from core.store.review_item import ReviewState

router = guarded_router("/v1/reviews", subject="reviews")


async def _change(
    id: str, caller: Reviewer, context: Shared, response: Response, key: IdempotencyKey = None
) -> Change:
    return Change(id=id, caller=caller, context=context, response=response, key=key)


Changing = Annotated[Change, Depends(_change)]


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
    store = change.context.service.store
    who = _who(change, read.body)
    make = partial(store.claim_review, caller.tenant_id, change.id, who)
    return await _once(change, "claim", read.digest, make)


@router.post("/{id}/resolve", openapi_extra=takes(ResolveBody))
async def resolve(
    caller: Reviewer,
    change: Changing,
    read: Annotated[Read[ResolveBody], Depends(read_json(ResolveBody))],
) -> ReviewReceipt:
    """What was true, told by a person; it is feedback on the decision."""
    store, body = change.context.service.store, read.body
    item = await change.context.run(store.review, caller.tenant_id, change.id)
    spec = await change.context.service.spec(caller.tenant_id, item.decision)
    refuse_truth(spec, body.truth, body.document)
    make = partial(
        store.resolve_review,
        caller.tenant_id,
        change.id,
        _who(change, body),
        body.truth,
        body.document,
        body.note,
    )
    return await _once(change, "resolve", read.digest, make)


@router.post("/{id}/snooze", openapi_extra=takes(SnoozeBody))
async def snooze(
    caller: Reviewer,
    change: Changing,
    read: Annotated[Read[SnoozeBody], Depends(read_json(SnoozeBody))],
) -> ReviewReceipt:
    """Puts the item off; when it is due does not move."""
    store, body = change.context.service.store, read.body
    make = partial(
        store.snooze_review,
        caller.tenant_id,
        change.id,
        _who(change, body),
        body.until,
        body.note,
    )
    return await _once(change, "snooze", read.digest, make)


def _who(change: Change, body: ClaimBody) -> str:
    return body.who or f"key:{change.caller.key_id}"


async def _once(
    change: Change, verb: str, digest: str, make: Callable[[], ReviewItem]
) -> ReviewReceipt:
    return await change.once(
        f"{verb} {change.id}", digest, ReviewReceipt, lambda: ReviewReceipt.model_validate(make())
    )
