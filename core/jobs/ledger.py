"""Every job is done once, or failed with its reason, whatever dies in between.

    queued ──claim──► running ──finish──► done
      ▲                │   └──tries used up──► failed
      └── fail, lease over ─┘           queued, running ──cancel──► cancelled
      ▲
      └── retry ── failed, cancelled

A claim is a lease with a token. Effects are written in the transaction that finishes the job, which
only the token of the last claim can do; so a job that two workers ran leaves its effects once.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from core.contracts import Json
from core.errors import Conflict
from core.jobs.job import OPEN, Job, JobState, LeaseLost, read_job
from core.jobs.job_rows import IS_OPEN, JobRows, fits, of_tenant, unknown_job
from core.store.base import insert_new
from core.store.forget import forget
from core.store.idempotency import Effects
from core.store.post import post
from core.store.tables import NOTE_LENGTH, jobs

WAKE = "job"  # the topic of the outbox
MAX_TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
PUT_OFF = timedelta(seconds=2)  # a job that waits for another is looked at no more often
KEPT = timedelta(days=90)  # what became of a job, for whoever looks into it a quarter later
TURN = (jobs.c.priority.desc(), jobs.c.due_at, jobs.c.id)
BATCH = 100  # jobs in one sweep, which holds SQLite's only write lock
# A wake-up may be spent on a worker that cannot do the job, or lost with its broker. So the head of
# the queue is woken for again, each time after as long again as it has waited: behind work that
# takes long, messages must not pile up.
AGAIN, AT_THE_HEAD = timedelta(seconds=30), 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    requeued: int
    failed: int
    woken: int


# What is written in the transaction that fails a job, for its reason.
Failure = Callable[[Job, str], Callable[[Connection], None] | None]


class JobLedger(JobRows):
    def enqueue(
        self,
        tenant_id: str,
        kind: str,
        payload: Mapping[str, Json],
        content_hash: str,
        *,
        needs: str | None = None,
        priority: int = 0,
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
                needs=needs,
                priority=priority,
                max_tries=max_tries,
            )

    def claim(self, tenant_id: str, job_id: str, lease: timedelta) -> Job | None:
        """None where it is done, being done, or not due yet."""
        return self._claim(of_tenant(tenant_id, job_id), lease)

    def claim_next(
        self, kinds: Collection[str], lease: timedelta, *, embedder: str | None = None
    ) -> Job | None:
        """The first by priority and then by the time since it is due, of any tenant; never one
        that needs an embedder of another fingerprint."""
        return self._claim(and_(jobs.c.kind.in_(sorted(kinds)), fits(embedder)), lease)

    def renew(
        self, job: Job, lease: timedelta, progress: tuple[int, int | None] | None = None
    ) -> None:
        """Raises LeaseLost where the claim has passed to another worker, or the job is cancelled.

        `progress` is what is done, and of how much.
        """
        values: dict[str, Any] = {"due_at": self._store.now() + lease}
        if progress is not None:
            values |= {"progress": progress[0], "total": progress[1]}
        self._change(job, values)

    def finish(
        self,
        job: Job,
        effects: Callable[[Connection], None] | None = None,
        *,
        result: Mapping[str, Json] | None = None,
    ) -> None:
        """Done, with its `effects` in the same transaction. Raises LeaseLost, leaving none, where
        the claim has passed to another worker or the job is cancelled."""
        done = {"state": "done", "finished_at": self._store.now(), "result": result}
        done |= {"reason": None}  # of the tries before
        self._change(job, done, effects)

    def fail(
        self,
        job: Job,
        reason: str,
        *,
        retry: bool = True,
        effects: Callable[[Connection], None] | None = None,
    ) -> JobState:
        """Back into the queue after a pause, or failed, with `effects`, where the tries are used
        up. Raises LeaseLost as `finish` does."""
        now = self._store.now()
        shown = reason[:NOTE_LENGTH].encode("utf-8", "replace").decode().replace("\0", " ")
        if retry and job.tries < job.max_tries:
            pause = min(FIRST_PAUSE * 2 ** (job.tries - 1), LONGEST_PAUSE)
            self._change(job, {"state": "queued", "due_at": now + pause, "reason": shown})
            return "queued"
        self._change(job, {"state": "failed", "finished_at": now, "reason": shown}, effects)
        return "failed"

    def put_off(self, job: Job, reason: str) -> None:
        """Back into the queue for a moment, as if this claim had not been. Raises LeaseLost as
        `finish` does."""
        values = {"state": "queued", "tries": job.tries - 1, "due_at": self._store.now() + PUT_OFF}
        self._change(job, values | {"reason": reason[:NOTE_LENGTH]})

    def cancel(self, tenant_id: str, job_id: str, effects: Effects[Job] | None = None) -> Job:
        """Whoever works on it can no longer finish it. `effects` are written in the same
        transaction. Raises NotFound, and Conflict where it is over already."""
        values = {"state": "cancelled", "finished_at": self._store.now(), "token": None}
        return self._by_hand(tenant_id, job_id, OPEN, values, effects)

    def retry(self, tenant_id: str, job_id: str, effects: Effects[Job] | None = None) -> Job:
        """Once more from the start, with all its tries. `effects` are written in the same
        transaction. Raises NotFound, and Conflict where it is open or done, or the same work is
        open as another job."""
        now = self._store.now()
        values = {"state": "queued", "tries": 0, "due_at": now, "woken_at": now}
        values |= {"reason": None, "finished_at": None, "progress": 0}
        try:
            over: tuple[JobState, ...] = ("failed", "cancelled")
            return self._by_hand(tenant_id, job_id, over, values, effects, wake=True)
        except IntegrityError as error:
            raise Conflict(
                "RUNG-JOB-STATE",
                f"the work of job {job_id} waits as another job already",
                way_out="Look at the open jobs with `rung jobs list --state queued`.",
            ) from error

    def sweep(self, failure: Failure | None = None, *, embedder: str | None = None) -> Swept:
        """Queues again what a dead worker left, and wakes for what was put off and is due now, and
        again for what no worker came for.

        `failure` gives the effects of a job that fails because its workers died too often. Nobody
        is woken for what needs another `embedder`: a worker that has it sweeps too.
        """
        now, counts = self._store.now(), {"requeued": 0, "failed": 0, "woken": 0}
        with self._store.writing() as connection:
            for row in connection.execute(_due(_lapsed(now), BATCH)).all():
                values: dict[str, Any] = {"token": None}
                if row.tries >= row.max_tries:
                    counts["failed"] += 1
                    reason = f"its worker did not finish it in {row.tries} tries"
                    values |= {"state": "failed", "finished_at": now, "reason": reason}
                    if effects := failure and failure(read_job(row), reason):
                        effects(connection)
                else:
                    counts["requeued"] += 1
                    values |= {"state": "queued", "due_at": now}
                    _wake(connection, row.tenant_id, row.id, row.kind, now)
                _set(connection, row, values | {"woken_at": now})
            head = connection.execute(_head(now, embedder)).all()
            for place, row in enumerate(head):
                if _is_unheard(row, place, now) and _is_first_to_wake(connection, row, now):
                    counts["woken"] += 1
                    _wake(connection, row.tenant_id, row.id, row.kind, now)
        return Swept(**counts)

    def prune(self) -> int:
        """Forgets, of all tenants, what was over long ago. Returns the number."""
        old = jobs.c.finished_at <= self._store.now() - KEPT
        return forget(self._store, jobs, and_(old, not_(IS_OPEN)))

    def _by_hand(
        self,
        tenant_id: str,
        job_id: str,
        states: tuple[JobState, ...],
        values: dict[str, Any],
        effects: Effects[Job] | None = None,
        *,
        wake: bool = False,
    ) -> Job:
        mine = of_tenant(tenant_id, job_id)
        with self._store.writing() as connection:
            changing = update(jobs).where(mine, jobs.c.state.in_(states)).values(values)
            changed = connection.execute(changing).rowcount
            row = connection.execute(select(jobs).where(mine)).first()
            if row is None:
                raise unknown_job(job_id)
            if not changed:
                raise Conflict(
                    "RUNG-JOB-STATE",
                    f"the job {job_id} is {row.state}",
                    way_out=f"This is for jobs that are {' or '.join(states)}.",
                )
            if wake:
                _wake(connection, tenant_id, job_id, row.kind, self._store.now())
            if effects is not None:
                effects(connection, read_job(row))
        return read_job(row)

    def _claim(self, which: ColumnElement[bool], lease: timedelta) -> Job | None:
        now, token = self._store.now(), secrets.token_hex(16)
        left = and_(_lapsed(now), jobs.c.tries < jobs.c.max_tries)
        with self._store.writing() as connection:
            row = connection.execute(_due(and_(which, or_(_waiting(now), left)), 1)).first()
            if row is None:
                return None
            claimed = {"state": "running", "token": token, "tries": row.tries + 1}
            claimed |= {"started_at": now, "progress": 0}
            _set(connection, row, {**claimed, "due_at": now + lease})
        return replace(read_job(row), **claimed)

    def _change(
        self,
        job: Job,
        values: dict[str, Any],
        effects: Callable[[Connection], None] | None = None,
    ) -> None:
        held = and_(
            of_tenant(job.tenant_id, job.id), jobs.c.state == "running", jobs.c.token == job.token
        )
        with self._store.writing() as connection:
            if connection.execute(update(jobs).where(held).values(values)).rowcount != 1:
                raise LeaseLost(job.id)
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
    needs: str | None = None,
    priority: int = 0,
    max_tries: int = MAX_TRIES,
    wait: timedelta = timedelta(0),
) -> str:
    """In a transaction of the caller's. The id; that of the open job of the same content.

    `needs` is the fingerprint of the only embedder that can do it. It is due after `wait`, so that
    what soon follows can be done with it.
    """
    job_id = secrets.token_hex(12)
    row = {
        "tenant_id": tenant_id,
        "id": job_id,
        "kind": kind,
        "payload": payload,
        "content_hash": content_hash,
        "needs": needs,
        "state": "queued",
        "priority": priority,
        "tries": 0,
        "max_tries": max_tries,
        "progress": 0,
        "due_at": now + wait,
        "woken_at": now,
        "created_at": now,
    }
    same = and_(
        jobs.c.tenant_id == tenant_id,
        jobs.c.kind == kind,
        jobs.c.content_hash == content_hash,
        IS_OPEN,
    )
    while not insert_new(connection, jobs, row):
        found = connection.execute(select(jobs.c.id).where(same)).scalar()
        if found is not None:
            return str(found)
        # That one was finished between the two statements, so that this is another one.
    if not wait:  # else the sweeper wakes for it when it is due
        _wake(connection, tenant_id, job_id, kind, now)
    return job_id


def _wake(connection: Connection, tenant_id: str, job_id: str, kind: str, now: datetime) -> None:
    message: dict[str, Json] = {"tenant_id": tenant_id, "job_id": job_id, "kind": kind}
    post(connection, tenant_id=tenant_id, topic=WAKE, payload=message, now=now)


def _due(which: ColumnElement[bool], limit: int) -> Select[Any]:
    """Rows that no other transaction is about to change; SQLite has one writer anyway."""
    ordered = select(jobs).where(IS_OPEN, which).order_by(*TURN).limit(limit)
    return ordered.with_for_update(skip_locked=True)


def _head(now: datetime, embedder: str | None) -> Select[Any]:
    """Of the first in turn alone: any wake-up claims whichever job comes first, and what is sent
    must not grow with the queue. None is locked: a claim would pass over it."""
    of = jobs.c
    told = select(of.tenant_id, of.id, of.kind, of.due_at, of.woken_at)
    return told.where(IS_OPEN, _waiting(now), fits(embedder)).order_by(*TURN).limit(BATCH)


def _is_unheard(row: Row[Any], place: int, now: datetime) -> bool:
    """Nobody was woken since it is due or, at the head, for as long again as it had waited then."""
    waited = row.woken_at - row.due_at
    return waited < timedelta(0) or (
        place < AT_THE_HEAD and now - row.woken_at >= max(AGAIN, waited)
    )


def _is_first_to_wake(connection: Connection, row: Row[Any], now: datetime) -> bool:
    """Neither was it claimed since it was read, nor has another sweeper woken somebody for it."""
    mine = of_tenant(row.tenant_id, row.id)
    same = and_(mine, jobs.c.state == "queued", jobs.c.woken_at == row.woken_at)
    return connection.execute(update(jobs).where(same).values(woken_at=now)).rowcount == 1


def _waiting(now: datetime) -> ColumnElement[bool]:
    return and_(jobs.c.state == "queued", jobs.c.due_at <= now)


def _lapsed(now: datetime) -> ColumnElement[bool]:
    return and_(jobs.c.state == literal_column("'running'"), jobs.c.due_at <= now)


def _set(connection: Connection, row: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(update(jobs).where(of_tenant(row.tenant_id, row.id)).values(values))
