"""The same Idempotency-Key gets the same answer, and the work behind it is done once."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, TypeVar

import anyio
from fastapi import Header, Response
from pydantic import BaseModel

from api.context import Context
from core.contracts import Json
from core.errors import RungError
from core.identity.keys import Principal
from core.store import Claim, Replay, Store
from core.store.idempotency import complete

Body = TypeVar("Body", bound=BaseModel)
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


@dataclass(frozen=True, kw_only=True)
class Change:
    """What every change of something that is there already is made of, beside its body."""

    id: str
    caller: Principal
    context: Context
    response: Response
    key: str | None

    async def once(
        self, route: str, digest: str, body: type[Body], make: Callable[[], Body]
    ) -> Body:
        """What `make` tells, or what the first request with this Idempotency-Key was told."""
        claim = await claimed(self.context, self.caller, self.key, route=route, digest=digest)
        if isinstance(claim, Replay):
            mark_replayed(self.response)
            return body.model_validate(claim.response)
        async with abandoned_on_failure(self.context, claim):
            told = await self.context.run(make)
            if claim is not None:
                store = self.context.service.store
                await self.context.run(_complete, store, claim, told.model_dump(mode="json"))
        return told


def _complete(store: Store, claim: Claim, answer: Json) -> None:
    """After an effect that cannot happen twice anyway, such as resolving a review."""
    with store.writing() as connection:
        complete(connection, claim, store.now(), answer, decision_id=None)


def mark_replayed(response: Response) -> None:
    response.headers[REPLAYED] = "true"
