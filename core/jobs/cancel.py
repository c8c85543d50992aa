"""Calls a job off with what that means for its kind, in one transaction."""

from sqlalchemy import Connection

from core.jobs.corpus_jobs import EMBED, documents_of_job
from core.jobs.job import Job
from core.jobs.ledger import JobLedger
from core.store.documents import mark_failed
from core.store.idempotency import Effects

REASON = "its job was cancelled"


def cancel_job(
    ledger: JobLedger, tenant_id: str, job_id: str, effects: Effects[Job] | None = None
) -> Job:
    """Raises NotFound, and Conflict where it is over already."""

    def leaving(connection: Connection, job: Job) -> None:
        _leaves(connection, job)
        if effects is not None:
            effects(connection, job)

    return ledger.cancel(tenant_id, job_id, leaving)


def _leaves(connection: Connection, job: Job) -> None:
    """Documents that nobody will embed are told as failed: sent again, they are taken again."""
    if job.kind == EMBED:
        mark_failed(connection, job.tenant_id, documents_of_job(job.payload), REASON)
