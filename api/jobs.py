"""The work that waits, is done and was done: looked at, started once more, or called off."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import Query

from api.auth import Operator, guarded_router
from api.context import Context, Shared
from api.idempotency import Change, Changing
from api.schemas.common import Word
from api.schemas.jobs import JobBody, JobsBody, ScheduleBody, SchedulesBody
from core.jobs import Job, JobLedger, JobState, Schedules
from core.jobs.cancel import cancel_job
from core.jobs.job_rows import unknown_job
from core.store.idempotency import Effects

router = guarded_router("/v1/jobs", subject="jobs")


@router.get("")
async def listed(
    caller: Operator,
    context: Shared,
    state: JobState | Literal["all"] = "all",
    kind: Word | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[Word | None, Query(description="The last id of the page before.")] = None,
) -> JobsBody:
    """The newest first, how many there are in each state, and since when one waits."""
    ledger = JobLedger(context.service.store)
    found = await context.run(
        ledger.jobs,
        caller.tenant_id,
        None if state == "all" else state,
        limit,
        kind=kind,
        after=after,
    )
    counts = await context.run(ledger.counts, caller.tenant_id)
    oldest = await context.run(ledger.oldest_due_at, caller.tenant_id)
    told = tuple(_told(job, context) for job in found)
    return JobsBody(jobs=told, counts=counts, oldest_due_at=oldest)


@router.get("/schedules")
async def schedules(caller: Operator, context: Shared) -> SchedulesBody:
    """The work that comes back, by name."""
    found = await context.run(Schedules(context.service.store).all, caller.tenant_id)
    return SchedulesBody(
        schedules=tuple(
            ScheduleBody(
                name=one.name,
                kind=one.kind,
                every_seconds=round(one.every.total_seconds()),
                next_at=one.next_at,
            )
            for one in found
        )
    )


@router.get("/{id}")
async def one(id: str, caller: Operator, context: Shared) -> JobBody:
    """How far it is, what came of it, and why it failed."""
    job = await context.run(JobLedger(context.service.store).job, caller.tenant_id, id)
    if job is None:
        raise unknown_job(id)
    return _told(job, context)


@router.post("/{id}/retry")
async def retry(caller: Operator, change: Changing) -> JobBody:
    """Once more from the start, where it failed or was cancelled."""
    return await _once(caller.tenant_id, change, "retry", JobLedger.retry)


@router.post("/{id}/cancel")
async def cancel(caller: Operator, change: Changing) -> JobBody:
    """Whoever works on it stops at its next report and can no longer finish it."""
    return await _once(caller.tenant_id, change, "cancel", cancel_job)


async def _once(
    tenant_id: str,
    change: Change,
    verb: str,
    call: Callable[[JobLedger, str, str, Effects[Job]], Job],
) -> JobBody:
    """A body is neither needed nor read."""
    ledger, told = JobLedger(change.context.service.store), partial(_told, context=change.context)

    async def make(effects: Effects[Job]) -> Job:
        return await change.context.run(call, ledger, tenant_id, change.id, effects)

    return await change.once(tenant_id, f"{verb} job", "", make, told, JobBody)


def _told(job: Job, context: Context) -> JobBody:
    """Without the payload: what a kind writes there is between it and its workers."""
    left = job.left(context.clock.now())
    return JobBody(
        id=job.id,
        kind=job.kind,
        needs=job.needs,
        state=job.state,
        priority=job.priority,
        progress=job.progress,
        total=job.total,
        seconds_left=None if left is None else left.total_seconds(),
        tries=job.tries,
        max_tries=job.max_tries,
        reason=job.reason,
        result=None if job.result is None else dict(job.result),
        created_at=job.created_at,
        due_at=job.due_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
