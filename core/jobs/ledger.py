"""Every job is done once, or failed with its reason, whatever dies in between.

    queued ──claim──► running ──finish──► done
      ▲                │   └──tries used up──► failed
      └── fail, lease over ─┘

A claim is a lease with a token. Effects are written in the transaction that finishes the job, which
only the token of the last claim can do; so a job that two workers ran leaves its effects once.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, update

from core.contracts import Json
from core.errors import Conflict
from core.store.base import Base, insert_new
from core.store.post import post
from core.store.tables import NOTE_LENGTH, jobs

JobState = Literal["queued", "running", "done", "failed"]
WAKE = "job"  # the topic of the outbox
MAX_TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
WAKE_AGAIN = timedelta(seconds=30)  # a broker may lose the message: filesystem:// lost 4 of 40
BATCH = 100  # jobs in one sweep, which holds SQLite's only write lock


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """`tries` counts the claims so far; `token` is the present claim's."""

    tenant_id: str
    id: str
    kind: str
    payload: Mapping[str, Json]
    content_hash: str
    state: JobState
    tries: int
    max_tries: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    token: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    requeued: int
    failed: int
    woken: int


class JobLedger:
    def __init__(self, store: Base) -> None:
        self._store = store

    def enqueue(
        self,
        tenant_id: str,
        kind: str,
        payload: Mapping[str, Json],
        content_hash: str,
        *,
        max_tries: int = MAX_TRIES,
    ) -> str:
        """The id; that of the open job where the same work is asked for already."""
        with self._store.writing() as connection:
            return enqueue(
                connection,
                tenant_id=tenant_id,
                kind=kind,
                payload=payload,
                content_hash=content_hash,
                now=self._store.now(),
                max_tries=max_tries,
            )

    def claim(self, tenant_id: str, job_id: str, lease: timedelta) -> Job | None:
        """None where it is done, being done, or not due yet."""
        return self._claim(_mine(tenant_id, job_id), lease)

    def claim_next(self, kind: str, lease: timedelta) -> Job | None:
        """The one that has been due longest, of any tenant."""
        return self._claim(jobs.c.kind == kind, lease)

    def renew(self, job: Job, lease: timedelta) -> None:
        """Raises Conflict where the claim has passed to another worker."""
        self._change(job, {"due_at": self._store.now() + lease})

    def finish(self, job: Job, effects: Callable[[Connection], None] | None = None) -> None:
        """Done, with its `effects` in the same transaction. Raises Conflict, leaving none, where
        the claim has passed to another worker."""
        self._change(job, {"state": "done", "finished_at": self._store.now()}, effects)

    def fail(self, job: Job, reason: str, *, retry: bool = True) -> JobState:
        """Back into the queue after a pause, or failed where the tries are used up."""
        now = self._store.now()
        shown = reason[:NOTE_LENGTH].encode("utf-8", "replace").decode().replace("\0", " ")
        if retry and job.tries < job.max_tries:
            pause = min(FIRST_PAUSE * 2 ** (job.tries - 1), LONGEST_PAUSE)
            self._change(job, {"state": "queued", "due_at": now + pause, "reason": shown})
            return "queued"
        self._change(job, {"state": "failed", "finished_at": now, "reason": shown})
        return "failed"

    def sweep(self) -> Swept:
        """Queues again what a dead worker left, and wakes for what nobody was woken for."""
        now, counts = self._store.now(), {"requeued": 0, "failed": 0, "woken": 0}
        with self._store.writing() as connection:
            for row in connection.execute(_due(_lapsed(now))).all():
                values: dict[str, Any] = {"token": None}
                if row.tries >= row.max_tries:
                    counts["failed"] += 1
                    reason = f"its worker did not finish it in {row.tries} tries"
                    values |= {"state": "failed", "finished_at": now, "reason": reason}
                else:
                    counts["requeued"] += 1
                    values |= {"state": "queued", "due_at": now}
                    _wake(connection, row.tenant_id, row.id, row.kind, now)
                _set(connection, row, values | {"woken_at": now})
            forgotten = and_(
                jobs.c.state == "queued",
                jobs.c.due_at <= now,
                or_(jobs.c.woken_at < jobs.c.due_at, jobs.c.woken_at <= now - WAKE_AGAIN),
                # What was queued again just above has been woken at this very moment.
                jobs.c.woken_at < now,
            )
            for row in connection.execute(_due(forgotten)).all():
                counts["woken"] += 1
                _wake(connection, row.tenant_id, row.id, row.kind, now)
                _set(connection, row, {"woken_at": now})
        return Swept(**counts)

    def job(self, tenant_id: str, job_id: str) -> Job | None:
        with self._store.reading() as connection:
            row = connection.execute(select(jobs).where(_mine(tenant_id, job_id))).first()
            return None if row is None else _job(row)

    def jobs(
        self, tenant_id: str, state: JobState | None = None, limit: int = 50
    ) -> tuple[Job, ...]:
        """Newest first."""
        statement = select(jobs).where(jobs.c.tenant_id == tenant_id)
        if state is not None:
            statement = statement.where(jobs.c.state == state)
        newest = statement.order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        with self._store.reading() as connection:
            return tuple(_job(row) for row in connection.execute(newest))

    def open_count(self) -> int:
        """Of all tenants: queued and running."""
        counting = select(func.count()).select_from(jobs)
        with self._store.reading() as connection:
            return connection.execute(
                counting.where(jobs.c.state.in_(("queued", "running")))
            ).scalar_one()

    def _claim(self, which: ColumnElement[bool], lease: timedelta) -> Job | None:
        now, token = self._store.now(), secrets.token_hex(16)
        left = and_(_lapsed(now), jobs.c.tries < jobs.c.max_tries)
        waiting = and_(jobs.c.state == "queued", jobs.c.due_at <= now)
        with self._store.writing() as connection:
            row = connection.execute(_due(and_(which, or_(waiting, left))).limit(1)).first()
            if row is None:
                return None
            claimed = {"state": "running", "token": token, "tries": row.tries + 1}
            _set(connection, row, {**claimed, "due_at": now + lease})
        return replace(_job(row), state="running", token=token, tries=row.tries + 1)

    def _change(
        self,
        job: Job,
        values: dict[str, Any],
        effects: Callable[[Connection], None] | None = None,
    ) -> None:
        held = and_(
            _mine(job.tenant_id, job.id), jobs.c.state == "running", jobs.c.token == job.token
        )
        with self._store.writing() as connection:
            if connection.execute(update(jobs).where(held).values(values)).rowcount != 1:
                raise Conflict(
                    "RUNG-JOB-LEASE",
                    f"the job {job.id} has passed to another worker",
                    way_out="Nothing is to be done: the other one finishes it.",
                )
            if effects is not None:
                effects(connection)


def enqueue(
    connection: Connection,
    *,
    tenant_id: str,
    kind: str,
    payload: Mapping[str, Json],
    content_hash: str,
    now: datetime,
    max_tries: int = MAX_TRIES,
) -> str:
    """In a transaction of the caller's. The id; that of the open job of the same content."""
    job_id = secrets.token_hex(12)
    row = {
        "tenant_id": tenant_id,
        "id": job_id,
        "kind": kind,
        "payload": payload,
        "content_hash": content_hash,
        "state": "queued",
        "tries": 0,
        "max_tries": max_tries,
        "due_at": now,
        "woken_at": now,
        "created_at": now,
    }
    if insert_new(connection, jobs, row):
        _wake(connection, tenant_id, job_id, kind, now)
        return job_id
    same = and_(
        jobs.c.tenant_id == tenant_id,
        jobs.c.kind == kind,
        jobs.c.content_hash == content_hash,
        jobs.c.state.in_(("queued", "running")),
    )
    found = connection.execute(select(jobs.c.id).where(same)).scalar()
    if found is not None:
        return str(found)
    # It was finished between the two statements, so that this is another one.
    connection.execute(jobs.insert().values(row))
    _wake(connection, tenant_id, job_id, kind, now)
    return job_id


def _wake(connection: Connection, tenant_id: str, job_id: str, kind: str, now: datetime) -> None:
    message: dict[str, Json] = {"tenant_id": tenant_id, "job_id": job_id, "kind": kind}
    post(connection, tenant_id=tenant_id, topic=WAKE, payload=message, now=now)


def _due(which: ColumnElement[bool]) -> Select[Any]:
    """Rows that no other transaction is about to change; SQLite has one writer anyway."""
    ordered = select(jobs).where(which).order_by(jobs.c.due_at, jobs.c.id).limit(BATCH)
    return ordered.with_for_update(skip_locked=True)


def _lapsed(now: datetime) -> ColumnElement[bool]:
    return and_(jobs.c.state == "running", jobs.c.due_at <= now)


def _mine(tenant_id: str, job_id: str) -> ColumnElement[bool]:
    return and_(jobs.c.tenant_id == tenant_id, jobs.c.id == job_id)


def _set(connection: Connection, row: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(update(jobs).where(_mine(row.tenant_id, row.id)).values(values))


def _job(row: Row[Any]) -> Job:
    return Job(
        tenant_id=row.tenant_id,
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        content_hash=row.content_hash,
        state=row.state,
        tries=row.tries,
        max_tries=row.max_tries,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
