"""Work that comes back: a schedule enqueues its job once for each time that it is due."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.contracts import Json
from core.errors import InvalidRequest, NotFound
from core.jobs.ledger import enqueue
from core.store.base import Base
from core.store.tables import schedules

SHORTEST = timedelta(minutes=1)  # what is due more often is a service and no schedule
LONGEST = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    name: str
    kind: str
    payload: Mapping[str, Json]
    every: timedelta
    next_at: datetime


class Schedules:
    def __init__(self, store: Base) -> None:
        self._store = store

    def put(
        self,
        tenant_id: str,
        name: str,
        kind: str,
        payload: Mapping[str, Json],
        every: timedelta,
        *,
        first_at: datetime | None = None,
    ) -> Schedule:
        """Replaces one of that name. Due at `first_at`, which is now where it is absent, and then
        after each `every`, in whole seconds. Raises InvalidRequest."""
        if not SHORTEST <= every <= LONGEST:
            raise InvalidRequest(
                "RUNG-SCHEDULE-INTERVAL",
                f"a schedule cannot be due every {every.total_seconds():g} s",
                way_out=f"Choose {SHORTEST.seconds} s to {LONGEST.days} days.",
            )
        now = self._store.now()
        row = {
            "kind": kind,
            "payload": dict(payload),
            "every_s": round(every.total_seconds()),
            "next_at": first_at or now,
            "created_at": now,
        }
        dialect = sqlite if self._store.is_sqlite else postgresql
        put = dialect.insert(schedules).values(tenant_id=tenant_id, name=name, **row)
        put = put.on_conflict_do_update(index_elements=["tenant_id", "name"], set_=row)
        with self._store.writing() as connection:
            stored = connection.execute(put.returning(schedules)).one()
        return _schedule(stored)

    def remove(self, tenant_id: str, name: str) -> None:
        """Raises NotFound. What it has enqueued stays."""
        with self._store.writing() as connection:
            gone = connection.execute(delete(schedules).where(_mine(tenant_id, name))).rowcount
        if not gone:
            raise NotFound(
                "RUNG-SCHEDULE-UNKNOWN",
                f"there is no schedule '{name[:40]}'",
                way_out="`rung jobs schedules` shows those of this tenant.",
            )

    def all(self, tenant_id: str) -> tuple[Schedule, ...]:
        """By name."""
        mine = select(schedules).where(schedules.c.tenant_id == tenant_id)
        with self._store.reading() as connection:
            rows = connection.execute(mine.order_by(schedules.c.name)).all()
        return tuple(_schedule(row) for row in rows)

    def enqueue_due(self) -> int:
        """One job for each schedule that is due; the times that were missed are not made up for.

        The job and the schedule's next time are one transaction, so that no two workers enqueue
        the same time. Returns the number of schedules that were due.
        """
        now = self._store.now()
        due = select(schedules).where(schedules.c.next_at <= now).order_by(schedules.c.next_at)
        with self._store.writing() as connection:
            rows = connection.execute(due.with_for_update(skip_locked=True)).all()
            for row in rows:
                every = timedelta(seconds=row.every_s)
                missed = (now - row.next_at) // every
                following = row.next_at + every * (missed + 1)
                enqueue(
                    connection,
                    tenant_id=row.tenant_id,
                    kind=row.kind,
                    payload=row.payload,
                    content_hash=_digest(row),
                    now=now,
                )
                moved = update(schedules).where(_mine(row.tenant_id, row.name))
                connection.execute(moved.values(next_at=following))
        return len(rows)


def _digest(row: Row[Any]) -> str:
    """Of the schedule and not of the time: while its last job is open, the next one waits."""
    content = json.dumps([row.name, row.kind, row.payload], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _mine(tenant_id: str, name: str) -> Any:
    return (schedules.c.tenant_id == tenant_id) & (schedules.c.name == name)


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        name=row.name,
        kind=row.kind,
        payload=row.payload,
        every=timedelta(seconds=row.every_s),
        next_at=row.next_at,
    )
