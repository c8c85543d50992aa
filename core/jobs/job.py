"""A job as the ledger knows it: what is to be done, how far it is, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row

from core.contracts import Json
from core.errors import Conflict

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: tuple[JobState, ...] = ("queued", "running")


class LeaseLost(Conflict):
    """The claim of a job has passed to another worker, or the job is cancelled: what was done for
    it leaves no effects."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            "RUNG-JOB-LEASE",
            f"the job {job_id} has passed to another worker, or is cancelled",
            way_out="Nothing is to be done: `rung jobs show` tells what became of it.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """`tries` counts the claims so far; `token` is the present claim's. `progress` is in units of
    the job's kind, of `total` where that is known; `started_at` is of the last claim. `due_at` is
    when a queued job may be claimed, and when the lease of a running one ends. `needs` is the
    fingerprint of the only embedder that can do it, where it must be a certain one."""

    tenant_id: str
    id: str
    kind: str
    payload: Mapping[str, Json]
    content_hash: str
    needs: str | None
    state: JobState
    priority: int
    tries: int
    max_tries: int
    reason: str | None
    result: Mapping[str, Json] | None
    progress: int
    total: int | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    token: str | None = None

    def left(self, now: datetime) -> timedelta | None:
        """How long it will still take at the pace so far; None where that cannot be said."""
        if self.state != "running" or not self.started_at or not self.total or not self.progress:
            return None
        remaining = max(self.total - self.progress, 0)
        return (now - self.started_at) * (remaining / self.progress)


def read_job(row: Row[Any]) -> Job:
    """Without the token, which is its claimant's alone."""
    return Job(
        tenant_id=row.tenant_id,
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        content_hash=row.content_hash,
        needs=row.needs,
        state=row.state,
        priority=row.priority,
        tries=row.tries,
        max_tries=row.max_tries,
        reason=row.reason,
        result=row.result,
        progress=row.progress,
        total=row.total,
        created_at=row.created_at,
        due_at=row.due_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
