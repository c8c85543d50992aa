"""What can be asked of the ledger without changing it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select

from core.errors import NotFound
from core.jobs.job import OPEN, Job, JobState, read_job
from core.prefix import ByPrefix
from core.store.base import Base
from core.store.tables import jobs

_NAMED = ByPrefix(
    thing="job",
    listed_by="rung jobs list",
    unknown="RUNG-JOB-UNKNOWN",
    ambiguous="RUNG-JOB-AMBIGUOUS",
    most=24,
)
# Written out: a bound parameter would keep both databases from using the index of open jobs.
IS_OPEN = jobs.c.state.in_([literal_column(f"'{state}'") for state in OPEN])


class JobRows:
    def __init__(self, store: Base) -> None:
        self._store = store

    def job(self, tenant_id: str, job_id: str) -> Job | None:
        with self._store.reading() as connection:
            row = connection.execute(select(jobs).where(of_tenant(tenant_id, job_id))).first()
            return None if row is None else read_job(row)

    def find(self, tenant_id: str, prefix: str) -> Job:
        """Raises NotFound for none and Conflict for several whose id begins with `prefix`."""

        def beginning(digits: str) -> Sequence[Row[Any]]:
            mine = (jobs.c.tenant_id == tenant_id) & jobs.c.id.startswith(digits)
            with self._store.reading() as connection:
                return connection.execute(select(jobs).where(mine).limit(2)).all()

        return read_job(_NAMED.only(prefix, beginning))

    def jobs(
        self,
        tenant_id: str,
        state: JobState | None = None,
        limit: int = 50,
        *,
        kind: str | None = None,
        after: str | None = None,
    ) -> tuple[Job, ...]:
        """Newest first; `after` is the last id of the page before. Raises NotFound for it."""
        statement = select(jobs).where(jobs.c.tenant_id == tenant_id)
        if state is not None:
            statement = statement.where(jobs.c.state == state)
        if kind is not None:
            statement = statement.where(jobs.c.kind == kind)
        if after is not None:
            last = self.job(tenant_id, after)
            if last is None:
                raise unknown_job(after)
            earlier = jobs.c.created_at < last.created_at
            same = (jobs.c.created_at == last.created_at) & (jobs.c.id > after)
            statement = statement.where(earlier | same)
        newest = statement.order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        with self._store.reading() as connection:
            return tuple(read_job(row) for row in connection.execute(newest))

    def counts(self, tenant_id: str) -> dict[str, int]:
        """How many there are in each state, also where that is none."""
        mine = select(jobs.c.state, func.count()).where(jobs.c.tenant_id == tenant_id)
        with self._store.reading() as connection:
            found = {state: n for state, n in connection.execute(mine.group_by(jobs.c.state))}
        return {state: found.get(state, 0) for state in get_args(JobState)}

    def oldest_due_at(self, tenant_id: str) -> datetime | None:
        """Since when a queued job could have been claimed, or from when; None without one."""
        queued = and_(IS_OPEN, jobs.c.state == "queued", jobs.c.tenant_id == tenant_id)
        with self._store.reading() as connection:
            return connection.execute(select(func.min(jobs.c.due_at)).where(queued)).scalar()

    def open_jobs(self, tenant_id: str, kind: str) -> tuple[Job, ...]:
        """All of them, the oldest first."""
        mine = (jobs.c.tenant_id == tenant_id) & (jobs.c.kind == kind)
        oldest = select(jobs).where(mine, IS_OPEN).order_by(jobs.c.created_at, jobs.c.id)
        with self._store.reading() as connection:
            return tuple(read_job(row) for row in connection.execute(oldest))

    def is_overdue(
        self, kinds: Collection[str], by: timedelta, *, embedder: str | None = None
    ) -> bool:
        """Whether one of any tenant could have been claimed all that time and was not."""
        late = and_(IS_OPEN, jobs.c.state == "queued", jobs.c.due_at <= self._store.now() - by)
        mine = and_(jobs.c.kind.in_(sorted(kinds)), fits(embedder))
        with self._store.reading() as connection:
            first = connection.execute(select(jobs.c.id).where(late, mine).limit(1)).first()
            return first is not None

    def open_count(self) -> int:
        """Of all tenants, queued and running."""
        return self._count(IS_OPEN)

    def left_for(self, kinds: Collection[str], *, embedder: str | None = None) -> int:
        """Those of the open jobs, of all tenants, that such a worker can do."""
        return self._count(and_(IS_OPEN, jobs.c.kind.in_(sorted(kinds)), fits(embedder)))

    def _count(self, which: ColumnElement[bool]) -> int:
        counting = select(func.count()).select_from(jobs).where(which)
        with self._store.reading() as connection:
            return connection.execute(counting).scalar_one()


def of_tenant(tenant_id: str, job_id: str) -> ColumnElement[bool]:
    return and_(jobs.c.tenant_id == tenant_id, jobs.c.id == job_id)


def fits(embedder: str | None) -> ColumnElement[bool]:
    """What a worker with that embedder, or with none, can do."""
    anybodys = jobs.c.needs.is_(None)
    return anybodys if embedder is None else or_(anybodys, jobs.c.needs == embedder)


def unknown_job(job_id: str) -> NotFound:
    return _NAMED.missing(job_id)
