"""Messages that were written with what they tell of, and how far each has got."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from core.contracts import Json
from core.store.base import Base
from core.store.forget import forget
from core.store.tables import outbox

LEASE = timedelta(seconds=30)  # a broker that takes longer for one batch is down
KEPT = timedelta(days=7)  # what was sent stays so long for whoever looks into an incident


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    seq: int
    tenant_id: str
    topic: str
    payload: Mapping[str, Json]


class Outbox:
    """The database is never locked while a broker is talked to: a batch is leased, sent, ticked
    off. Whoever dies in between leaves messages that are sent again: at least once."""

    def __init__(self, store: Base) -> None:
        self._store = store

    def take(self, limit: int = 100) -> tuple[Message, ...]:
        """Oldest first, leased to the caller."""
        now = self._store.now()
        free = outbox.c.sent_at.is_(None) & (outbox.c.lease_until <= now)
        statement = select(outbox).where(free).order_by(outbox.c.seq).limit(limit)
        with self._store.writing() as connection:
            rows = connection.execute(statement.with_for_update(skip_locked=True)).all()
            taken = outbox.c.seq.in_([row.seq for row in rows])
            connection.execute(update(outbox).where(taken).values(lease_until=now + LEASE))
        return tuple(
            Message(seq=row.seq, tenant_id=row.tenant_id, topic=row.topic, payload=row.payload)
            for row in rows
        )

    def tick_off(self, messages: Sequence[Message]) -> None:
        self._set(messages, {"sent_at": self._store.now()})

    def put_back(self, messages: Sequence[Message]) -> None:
        self._set(messages, {"lease_until": self._store.now()})

    def waiting(self) -> int:
        """How many are not sent."""
        counting = select(func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))
        with self._store.reading() as connection:
            return connection.execute(counting).scalar_one()

    def prune(self) -> int:
        """Forgets what was sent long ago. Returns the number."""
        return forget(self._store, outbox, outbox.c.sent_at <= self._store.now() - KEPT)

    def _set(self, messages: Sequence[Message], values: dict[str, Any]) -> None:
        if messages:
            with self._store.writing() as connection:
                these = outbox.c.seq.in_([message.seq for message in messages])
                connection.execute(update(outbox).where(these).values(values))
