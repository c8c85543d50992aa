"""The same Idempotency-Key gets the same answer, and the work behind it is done once."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import anyio
from fastapi import Header, Response

from api.context import Context
from core.contracts import Json
from core.errors import RungError
from core.identity.keys import Principal
from core.store import Claim, Replay, Store
from core.store.idempotency import complete

REPLAYED = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A new value for each new request; a repeated one replays the first answer.",
    ),
]


async def claimed(
    context: Context, caller: Principal, key: str | None, *, route: str, digest: str
) -> Claim | Replay | None:
    """None without a key. Raises Conflict in flight, InvalidRequest for another request's key.

    `route` goes into the request's digest: a key belongs to one route and body.
    """
    if key is None:
        return None
    request = hashlib.sha256(f"{route}\n{digest}".encode()).hexdigest()
    return await context.run(
        context.service.store.claim_idempotency, caller.tenant_id, key, request
    )


@asynccontextmanager
async def abandoned_on_failure(context: Context, claim: Claim | None) -> AsyncIterator[None]:
    """Frees the key of a request that came to nothing, so that it can be sent again at once."""
    try:
        yield
    except BaseException:
        if claim is not None:
            # Where even this fails, the claim's lease ends by itself.
            with anyio.CancelScope(shield=True), suppress(RungError):
                await context.run(context.service.store.abandon, claim)
        raise


def complete_alone(store: Store, claim: Claim, answer: Json) -> None:
    """After an effect that cannot happen twice anyway, such as resolving a review."""
    with store.writing() as connection:
        complete(connection, claim, store.now(), answer, decision_id=None)


def mark_replayed(response: Response) -> None:
    response.headers[REPLAYED] = "true"
