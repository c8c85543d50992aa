"""A request sent twice is carried out once: its key is claimed first and answered from then on.

A claim is a lease, so that the key of a process that died is free again, and names a token, so
that whoever comes back late cannot complete what has passed to somebody else.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from core.contracts import Json
from core.errors import Conflict, InvalidRequest
from core.spec.costs import LONGEST_DEADLINE_MS
from core.store.base import Base, insert_new
from core.store.forget import forget
from core.store.tables import idempotency

# A request may begin its last decision 30 s after it came (api.context), and nobody else may decide
# it meanwhile; the rest is for loading a ladder.
LEASE = timedelta(milliseconds=LONGEST_DEADLINE_MS) + timedelta(seconds=60)
KEPT = timedelta(hours=24)  # as Stripe keeps them
T = TypeVar("T")
Effects = Callable[[Connection, T], None]  # written in the transaction of what it is told of


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to carry the request out, until the lease is over."""

    tenant_id: str
    key: str
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What the first request of this key came to."""

    decision_id: str | None
    response: Json


class Idempotency(Base):
    def claim_idempotency(self, tenant_id: str, key: str, request_hash: str) -> Claim | Replay:
        """Raises Conflict while the first request is still being carried out, and InvalidRequest
        where the key was used for another request."""
        now, token = self.now(), secrets.token_hex(16)
        fresh: dict[str, Any] = {
            "request_hash": request_hash,
            "token": token,
            "lease_until": now + LEASE,
            "expires_at": now + KEPT,
            "done": False,
            "decision_id": None,
            "response": None,
        }
        claim = Claim(tenant_id=tenant_id, key=key, token=token)
        with self.writing() as connection:
            if insert_new(connection, idempotency, {"tenant_id": tenant_id, "key": key, **fresh}):
                return claim
            mine = _row_of(tenant_id, key)
            row = connection.execute(select(idempotency).where(mine).with_for_update()).one()
            if row.expires_at > now:
                replay = _answer(row, request_hash, now)
                if replay is not None:
                    return replay
            connection.execute(update(idempotency).where(mine).values(fresh))
            return claim

    def abandon(self, claim: Claim, *, begun: bool = False) -> None:
        """Frees the key of a request that came to nothing; a completed one stays as it is.

        Where it had `begun`, parts of it may be written under claims of their own: its key stays
        with this request, which may be sent again at once.
        """
        over = update(idempotency).values(lease_until=self.now())
        nothing = delete(idempotency)
        with self.writing() as connection:
            connection.execute((over if begun else nothing).where(_held(claim)))

    def complete_claim(self, claim: Claim, response: Json) -> None:
        """For a request each of whose effects has been written under a claim of its own. Raises
        Conflict where the claim is no longer held."""
        with self.writing() as connection:
            complete(connection, claim, self.now(), response, decision_id=None)

    def prune_idempotency(self) -> int:
        """Forgets the answers whose day is over. Returns their number."""
        return forget(self, idempotency, idempotency.c.expires_at <= self.now())


def complete(
    connection: Connection,
    claim: Claim,
    now: datetime,
    response: Json,
    *,
    decision_id: str | None,
) -> None:
    """In the transaction of the effect. Raises Conflict where the claim is no longer held."""
    answer = {
        "done": True,
        "decision_id": decision_id,
        "response": response,
        "expires_at": now + KEPT,
    }
    if connection.execute(update(idempotency).where(_held(claim)).values(answer)).rowcount != 1:
        raise Conflict(
            "RUNG-IDEMPOTENCY-LOST",
            "the request took so long that its Idempotency-Key passed to a later one",
            way_out="Send it again with the same key: the answer of the other one is replayed.",
            retry_after=1,
        )


def completing(claim: Claim | None, now: datetime, answer: Callable[[T], Json]) -> Effects[T]:
    """Completes the claim, if there is one, by the `answer` to what its effect came to."""

    def effects(connection: Connection, made: T) -> None:
        if claim is not None:
            complete(connection, claim, now, answer(made), decision_id=None)

    return effects


def _answer(row: Row[Any], request_hash: str, now: datetime) -> Replay | None:
    """None where the claim of a process that died may be taken over."""
    if row.request_hash != request_hash:
        raise InvalidRequest(
            "RUNG-IDEMPOTENCY-MISMATCH",
            "this Idempotency-Key was used for another request",
            way_out="Send every new request with a key of its own.",
        )
    if row.done:
        return Replay(decision_id=row.decision_id, response=row.response)
    if row.lease_until > now:
        raise Conflict(
            "RUNG-IDEMPOTENCY-INFLIGHT",
            "the first request with this Idempotency-Key is still being carried out",
            way_out="Send it again after the seconds in Retry-After.",
            retry_after=1,
        )
    return None


def _row_of(tenant_id: str, key: str) -> ColumnElement[bool]:
    return (idempotency.c.tenant_id == tenant_id) & (idempotency.c.key == key)


def _held(claim: Claim) -> ColumnElement[bool]:
    mine = _row_of(claim.tenant_id, claim.key)
    return mine & (idempotency.c.token == claim.token) & idempotency.c.done.is_(False)
