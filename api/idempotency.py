"""The same Idempotency-Key gets the same answer, and the work behind it is done once."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar

import anyio
from fastapi import Depends, Header, Response
from pydantic import BaseModel

from api.context import Context, Shared
from core.contracts import Json
from core.errors import RungError
from core.store import Claim, Replay
from core.store.idempotency import Effects, completing

T = TypeVar("T")
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
    context: Context, tenant_id: str, key: str | None, *, route: str, digest: str
) -> Claim | Replay | None:
    """None without a key. Raises Conflict in flight, InvalidRequest for another request's key.

    `route` goes into the request's digest: a key belongs to one route and body.
    """
    if key is None:
        return None
    request = hashlib.sha256(f"{route}\n{digest}".encode()).hexdigest()
    return await context.run(context.service.store.claim_idempotency, tenant_id, key, request)


@asynccontextmanager
async def abandoned_on_failure(
    context: Context, claim: Claim | None, *, begun: bool = False
) -> AsyncIterator[None]:
    """Frees the key of a request that came to nothing, so that it can be sent again at once; one
    that had `begun` can be sent again with the same body alone."""
    try:
        yield
    except BaseException:
        if claim is not None:
            # Where even this fails, the claim's lease ends by itself.
            with anyio.CancelScope(shield=True), suppress(RungError):
                await abandoned(context, claim, begun=begun)
        raise


async def abandoned(context: Context, claim: Claim, *, begun: bool) -> None:
    await context.run(partial(context.service.store.abandon, claim, begun=begun))


@dataclass(frozen=True, kw_only=True)
class Change:
    """What every change of something that is there already is made of, beside its body."""

    id: str
    context: Context
    response: Response
    key: str | None

    async def once(
        self,
        tenant_id: str,
        verb: str,
        digest: str,
        make: Callable[[Effects[T]], Awaitable[T]],
        told: Callable[[T], Body],
        body: type[Body],
    ) -> Body:
        """What `make` comes to as it is `told`, or what the first request with this key was told.

        `make` writes the effects that it is given in its own transaction, or changes nothing.
        """
        store, route = self.context.service.store, f"{verb} {self.id}"
        claim = await claimed(self.context, tenant_id, self.key, route=route, digest=digest)
        if isinstance(claim, Replay):
            mark_replayed(self.response)
            return body.model_validate(claim.response)

        def answer(made: T) -> Json:
            return told(made).model_dump(mode="json")

        async with abandoned_on_failure(self.context, claim):
            return told(await make(completing(claim, store.now(), answer)))


async def _change(
    id: str, context: Shared, response: Response, key: IdempotencyKey = None
) -> Change:
    return Change(id=id, context=context, response=response, key=key)


Changing = Annotated[Change, Depends(_change)]


def mark_replayed(response: Response) -> None:
    response.headers[REPLAYED] = "true"
